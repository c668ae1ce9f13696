import { createHash, type Hash } from 'node:crypto'
import { BackgroundSha256 } from './background-sha256.js'

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

/** Starting a thread takes as long as hashing so many bytes. */
const THREAD_BYTES = 16 * 1024 * 1024

/** Hashes in a thread when there is so much to hash that this saves time, and a thread is to be had; else at once. */
export function createSha256Streams(expectedBytes: number): Sha256Streams {
  if (expectedBytes < THREAD_BYTES) return inlineStreams
  try {
    return new BackgroundSha256()
  } catch {
    return inlineStreams
  }
}

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
