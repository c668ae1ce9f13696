import { join } from 'node:path'
import { type ErrorCode, isPbManifestError } from '../errors.js'
import { decodePathname, encodePathname, isUtf8Pathname, type Pathname } from '../files/pathname.js'
import { Yielder } from '../files/yielder.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { fragmentFileName } from '../manifest/fragment/backup-id.js'
import type { PlannedFile } from '../manifest/fragment/plan-shares.js'
import { writeFragmentOf } from '../manifest/fragment/write-fragment.js'
import { Claims } from '../threads/claims.js'

/** How often a thread looks whether it is still wanted, in milliseconds. */
const LOOK_MS = 50

/** What a thread that writes fragments is sent. */
export interface StartWriting {
  /** The data directory. */
  readonly directory: string
  /** Where the fragments go. */
  readonly fragmentDirectory: string
  readonly backupId: string
  readonly checksumAlgorithm: ChecksumAlgorithm
  readonly shares: PackedShares
  /** Of shares. */
  readonly claims: SharedArrayBuffer
  /** A BigInt64: bytes that were read. */
  readonly bytesDone: SharedArrayBuffer
}

/** What a thread sends: each fragment that is there, or why one is not. */
export type WritingMessage = { readonly type: 'written'; readonly files: number } | WritingFailure

/** Why a fragment is not there. */
export interface WritingFailure {
  readonly type: 'failed'
  readonly code: ErrorCode
  readonly message: string
  /** One for each file. */
  readonly details: readonly string[]
  readonly hint?: string
}

/** The shares of all threads, in memory that they share. */
export interface PackedShares {
  /** Of each share, the number of its first file, and of the last one also that of what comes behind. */
  readonly starts: readonly number[]
  /** All pathnames, one after the other. */
  readonly names: SharedArrayBuffer
  /** Float64: where each pathname ends. */
  readonly nameEnds: SharedArrayBuffer
  /** Float64 */
  readonly sizes: SharedArrayBuffer
}

/** Without an object for each file. */
export function packShares(shares: readonly (readonly PlannedFile[])[]): PackedShares {
  const starts = [0]
  for (const share of shares) starts.push((starts.at(-1) ?? 0) + share.length)
  const files = starts.at(-1) ?? 0
  let nameBytes = 0
  for (const share of shares) for (const { pathname } of share) nameBytes += lengthOf(pathname)
  const packed = {
    names: new SharedArrayBuffer(nameBytes),
    nameEnds: new SharedArrayBuffer(files * Float64Array.BYTES_PER_ELEMENT),
    sizes: new SharedArrayBuffer(files * Float64Array.BYTES_PER_ELEMENT),
  }
  const bytes = Buffer.from(packed.names)
  const ends = new Float64Array(packed.nameEnds)
  const sizes = new Float64Array(packed.sizes)
  let index = 0
  let end = 0
  for (const share of shares) {
    for (const { pathname, size } of share) {
      end += isUtf8Pathname(pathname) ? bytes.write(pathname, end) : encodePathname(pathname).copy(bytes, end)
      ends[index] = end
      sizes[index] = size
      index++
    }
  }
  return { ...packed, starts }
}

function lengthOf(pathname: Pathname): number {
  return isUtf8Pathname(pathname) ? Buffer.byteLength(pathname) : encodePathname(pathname).length
}

export function unpackShare({ starts, ...packed }: PackedShares, share: number): PlannedFile[] {
  const bytes = Buffer.from(packed.names)
  const ends = new Float64Array(packed.nameEnds)
  const sizes = new Float64Array(packed.sizes)
  const files: PlannedFile[] = []
  for (let index = starts[share] ?? 0; index < (starts[share + 1] ?? 0); index++) {
    const name = bytes.subarray(ends[index - 1] ?? 0, ends[index])
    files.push({ pathname: decodePathname(name), size: sizes[index] ?? 0 })
  }
  return files
}

/** Writes the fragments of shares until there are no more. Runs in any thread. */
export async function writeShares(
  start: StartWriting,
  post: (message: WritingMessage) => void,
): Promise<void> {
  const claims = new Claims(start.claims)
  const controller = new AbortController()
  const timer = setInterval(() => {
    if (claims.isAbandoned) controller.abort()
  }, LOOK_MS)
  try {
    const yielder = new Yielder(controller.signal)
    for (let share = claims.claim(); share < start.shares.starts.length - 1; share = claims.claim()) {
      post(await writeShare(start, share, yielder))
    }
  } finally {
    clearInterval(timer)
  }
}

async function writeShare(start: StartWriting, worker: number, yielder: Yielder): Promise<WritingMessage> {
  const { directory, backupId, checksumAlgorithm } = start
  const bytesDone = new BigInt64Array(start.bytesDone)
  const output = join(start.fragmentDirectory, fragmentFileName(backupId, worker))
  const options = { directory, output, backupId, worker, checksumAlgorithm }
  try {
    const files = unpackShare(start.shares, worker)
    const written = await writeFragmentOf(files, options, yielder, (bytes) => {
      Atomics.add(bytesDone, 0, BigInt(bytes))
    })
    return { type: 'written', files: written.files }
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    const { code, message, details, hint } = error
    return { type: 'failed', code, message, details, ...(hint !== undefined && { hint }) }
  }
}
