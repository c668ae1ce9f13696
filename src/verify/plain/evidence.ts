import type { BigIntStats } from 'node:fs'
import type { ContentDecision } from '../content/decide-content-rules.js'
import type { ReportedOptions } from '../reported-options.js'
import type { FileTable } from '../file-table/file-table.js'

/** What is to be done with a file: read it; only look whether it is what it was; or leave it to a later run. */
export const filePlans = { read: 0, compare: 1, leave: 2 } as const

/** Raised when a file that is good by our rules may not be so by newer ones: then older evidence is worth nothing. */
const RULES_VERSION = 1

/** Bits: what of a file was looked at, besides its size. */
const checkBits = { checksum: 1, pages: 2, incremental: 4 } as const

/** By what rules files were found good. */
export interface EvidenceRules {
  readonly version: number
  /** What is looked at, as {@link checkBits}. */
  readonly checks: number
  /** Where a page is in its relation, and so its checksum, depends on it. */
  readonly segmentPages: number
}

export function evidenceRulesOf({ rules, segmentPages }: ContentDecision): EvidenceRules {
  const { hasPageChecksums = false, hasIncrementalFiles = false } = rules ?? {}
  const pages = hasPageChecksums ? checkBits.pages : 0
  const incremental = hasIncrementalFiles ? checkBits.incremental : 0
  return { version: RULES_VERSION, checks: checkBits.checksum | pages | incremental, segmentPages }
}

/** The memory of evidence, shared by all threads; a row a file of the manifest. */
export interface EvidenceBuffers {
  /** BigInt64, four of each row: when it was modified and changed, in nanoseconds since 1970; its inode; its device. */
  readonly stats: SharedArrayBuffer
  /** Float64: when it was read, before its first byte, in milliseconds since 1970; 0: it was not, as far as is known. */
  readonly readAt: SharedArrayBuffer
  /** Uint8: what was looked at then, and found good; 0: it was not good, or that proves nothing. */
  readonly checks: SharedArrayBuffer
  /** Uint8: a number of `filePlans`. */
  readonly plans: SharedArrayBuffer
}

const STATS = 4

/**
 * A file that was changed so shortly before it was read may have been changed again after that, within one tick of the file
 * system's clock, which may be 2 seconds (FAT), and so look as it did.
 */
const FRESH_MS = 2000

/**
 * What files were when they were read and found good: when they still are, they need not be read again.
 *
 * It says nothing of bytes that change without the file system being told: on the medium, through the block device, or by a
 * writable mapping of a file between two write-backs.
 */
export class EvidenceTable {
  readonly buffers: EvidenceBuffers
  readonly stats: BigInt64Array
  readonly readAt: Float64Array
  readonly checks: Uint8Array
  readonly plans: Uint8Array

  constructor(buffers: EvidenceBuffers) {
    this.buffers = buffers
    this.stats = new BigInt64Array(buffers.stats)
    this.readAt = new Float64Array(buffers.readAt)
    this.checks = new Uint8Array(buffers.checks)
    this.plans = new Uint8Array(buffers.plans)
  }

  /** A table without evidence, by whose plans every file is read. The system gives memory only to what is written. */
  static allocate(maxRows: number): EvidenceTable {
    return new EvidenceTable({
      stats: new SharedArrayBuffer(maxRows * STATS * BigInt64Array.BYTES_PER_ELEMENT),
      readAt: new SharedArrayBuffer(maxRows * Float64Array.BYTES_PER_ELEMENT),
      checks: new SharedArrayBuffer(maxRows),
      plans: new SharedArrayBuffer(maxRows),
    })
  }

  isToCompare(row: number): boolean {
    return this.plans[row] === filePlans.compare
  }

  isLeft(row: number): boolean {
    return this.plans[row] === filePlans.leave
  }

  /** Whether a file is the one of the evidence, and nobody has changed it since. */
  fits(row: number, size: number, found: BigIntStats): boolean {
    const { stats } = this
    const at = row * STATS
    return (
      found.isFile() &&
      found.size === BigInt(size) &&
      found.ctimeNs === stats[at + 1] &&
      found.mtimeNs === stats[at] &&
      BigInt.asIntN(64, found.ino) === stats[at + 2] &&
      BigInt.asIntN(64, found.dev) === stats[at + 3]
    )
  }

  /**
   * Takes down what a file was that is good; {@link begin} was called before.
   *
   * @param before - from before its first byte was read
   * @param after - from after its last byte was read
   */
  record(row: number, before: BigIntStats, after: BigIntStats, checks: number): void {
    const { stats } = this
    if (!isSame(before, after) || isFresh(before, this.readAt[row] ?? 0)) return
    const at = row * STATS
    stats[at] = before.mtimeNs
    stats[at + 1] = before.ctimeNs
    stats[at + 2] = before.ino
    stats[at + 3] = before.dev
    this.checks[row] = checks
  }

  /** From now on nothing is known of a file but that it was read. */
  begin(row: number, readAt: number): void {
    this.readAt[row] = readAt
    this.checks[row] = 0
  }
}

function isSame(before: BigIntStats, after: BigIntStats): boolean {
  return (
    before.ctimeNs === after.ctimeNs &&
    before.mtimeNs === after.mtimeNs &&
    before.size === after.size &&
    before.ino === after.ino &&
    before.dev === after.dev
  )
}

/** Also when the clock of the file system is ahead of ours, or ours was set back. */
function isFresh({ ctimeNs, mtimeNs }: BigIntStats, readAt: number): boolean {
  const latest = BigInt(Math.floor(readAt) - FRESH_MS) * 1_000_000n
  return ctimeNs > latest || mtimeNs > latest
}

/** Files that are not read: those that rest on evidence, and those that are left to later runs. */
export class UnreadFiles {
  readonly rested = { files: 0, bytes: 0, readSince: 0 }
  readonly left = { files: 0, bytes: 0 }

  /** @param readAt - in milliseconds since 1970 */
  addRested(bytes: number, readAt: number): void {
    const { rested } = this
    rested.readSince = rested.files === 0 ? readAt : Math.min(rested.readSince, readAt)
    rested.files++
    rested.bytes += bytes
  }

  addLeft(bytes: number): void {
    this.left.files++
    this.left.bytes += bytes
  }
}

/** A verification whose manifest has been read; no file has been. */
export interface BegunVerification {
  /** The backup directory; absolute, without links. */
  readonly path: string
  /** The manifest's own. */
  readonly manifestChecksum: string
  readonly table: FileTable
  /** Whether the file of this row counts. */
  readonly isWanted: (row: number) => boolean
  /** To be filled with what is known, and what is to be done; `undefined` when files are not read one by one. */
  readonly evidence: BackupEvidence | undefined
}

/** Evidence on the files of a backup, before it was verified and, when that is done, after it. */
export interface BackupEvidence {
  readonly table: EvidenceTable
  readonly rules: EvidenceRules
}

/** Whoever keeps what is found, from one verification of a backup to the next. */
export interface VerificationKeeper {
  /** What it was asked for, for the report. */
  readonly asked: Pick<ReportedOptions, 'maxAgeSeconds' | 'subset'>
  /**
   * Is told what is verified as soon as that is known.
   *
   * @throws what then ends the verification
   */
  readonly begin: (verification: BegunVerification) => Promise<void>
}
