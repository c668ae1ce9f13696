import { createHash, type Hash } from 'node:crypto'

/** A SHA-256 over bytes that come piece by piece. */
export interface Sha256Stream {
  /** Takes the bytes at once: the caller may change them afterwards. */
  readonly update: (bytes: Uint8Array) => void
  /** Another one that has taken what this one has taken so far. */
  readonly copy: () => Sha256Stream
  /** Says that nobody will ask for the digest. */
  readonly drop: () => void
  /** Lower-case hexadecimal. Nothing may follow it. */
  readonly digest: () => string
}

/** Makes several of them. Whoever has one calls `close`. */
export interface Sha256Streams {
  readonly create: () => Sha256Stream
  readonly close: () => Promise<void>
}

/** Hash at once. */
export const inlineStreams: Sha256Streams = {
  create: () => inlineStream(createHash('sha256')),
  close: async () => {},
}

function inlineStream(hash: Hash): Sha256Stream {
  return {
    update: (bytes) => void hash.update(bytes),
    copy: () => inlineStream(hash.copy()),
    drop: () => {},
    digest: () => hash.digest('hex'),
  }
}
