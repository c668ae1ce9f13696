import { readSync } from 'node:fs'
import { PbManifestError } from '../errors.js'
import { describeSystemError, ioError } from './system-error.js'

/** What {@link readSync} does; it may give fewer bytes than were asked for. */
export type ReadCall = (
  descriptor: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number | null,
) => number

/** So often, and so long between, in milliseconds, is a read repeated that a file system puts off. */
const MOST_DELAYS = 500
const DELAY_MS = 10

/** No system reads 2 GiB at once. */
const MOST_BYTES = 2 ** 30

/**
 * Fills a buffer from a file. A read may give less than was asked for, on a network or in user space at any time, and only
 * one that gives nothing has met the end: so this reads on.
 *
 * @param position - `null`: from where the file stands
 * @param read - for tests
 * @returns how many bytes; fewer than the buffer takes only at the end of the file
 * @throws the error of `read`
 */
export function readFully(
  descriptor: number,
  buffer: Buffer,
  position: number | null,
  read: ReadCall = readSync,
): number {
  let length = 0
  while (length < buffer.length) {
    const from = position === null ? null : position + length
    const more = readSome(
      descriptor,
      buffer,
      length,
      Math.min(buffer.length - length, MOST_BYTES),
      from,
      read,
    )
    if (more === 0) break
    length += more
  }
  return length
}

/**
 * Fills a buffer from a file that has as many bytes.
 *
 * @param path - for the message
 * @throws {@link PbManifestError} `IO`, also when the file ends before
 */
export function readExactly(
  path: string,
  descriptor: number,
  buffer: Buffer,
  position: number,
  read: ReadCall = readSync,
): void {
  let length: number
  try {
    length = readFully(descriptor, buffer, position, read)
  } catch (error) {
    throw ioError(`could not read file "${path}"`, error)
  }
  if (length === buffer.length) return
  throw new PbManifestError('IO', `could not read file "${path}": read ${length} of ${buffer.length}`)
}

/**
 * Reads once, for those who read on until there is nothing more. Files are opened so that a FIFO does not hold us; a file
 * system may then say "try again", and this does.
 *
 * @returns how many bytes, maybe fewer than were asked for; 0 at the end of the file
 * @throws the error of `read`
 */
export function readSome(
  descriptor: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number | null,
  read: ReadCall = readSync,
): number {
  for (let delays = 0; ; delays++) {
    try {
      return read(descriptor, buffer, offset, length, position)
    } catch (error) {
      const code = describeSystemError(error)?.code
      if (delays === MOST_DELAYS || (code !== 'EAGAIN' && code !== 'EINTR')) throw error
      Atomics.wait(nobodyWakes, 0, 0, DELAY_MS)
    }
  }
}

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4))
