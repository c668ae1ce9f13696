/** The memory that the two sides of a background SHA-256 share: a ring of commands, each with room for bytes. */
export interface RingBuffers {
  /** Int32: {@link WRITTEN}, {@link DONE}. */
  readonly control: SharedArrayBuffer
  /** Int32: of each place, what to do, with which stream, and a number that depends on what it is. */
  readonly commands: SharedArrayBuffer
  /** Uint8: of each place {@link PLACE_BYTES}. */
  readonly bytes: SharedArrayBuffer
  /** Uint8: the last digest. */
  readonly digest: SharedArrayBuffer
}

/** Places in the ring. */
export const PLACES = 32
/** Of one place. */
export const PLACE_BYTES: number = 256 * 1024

/** How many commands were written, and done, since the beginning; both wrap around together. */
export const WRITTEN = 0
export const DONE = 1

/** Int32s of one command. */
export const COMMAND_NUMBERS = 3

export const commandTypes = {
  /** Take bytes; the number is their length. */
  update: 0,
  /** Become a copy of the stream that the number says. */
  copy: 1,
  /** Write the digest; nothing follows. */
  digest: 2,
  /** Go. */
  drop: 3,
  /** End the thread. */
  close: 4,
} as const

export function allocateRing(): RingBuffers {
  return {
    control: new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT),
    commands: new SharedArrayBuffer(COMMAND_NUMBERS * PLACES * Int32Array.BYTES_PER_ELEMENT),
    bytes: new SharedArrayBuffer(PLACES * PLACE_BYTES),
    digest: new SharedArrayBuffer(32),
  }
}
