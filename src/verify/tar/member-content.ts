import { ContentCheck } from '../content/content-check.js'
import { ReplayedWal } from '../content/replayed-wal.js'
import type { ExpectedContent, MemberFindings } from './archive-messages.js'

/** Whole pages. */
const BUFFER_BYTES = 256 * 1024

/**
 * So many files of an archive are told about. In a cluster without data checksums every file has wrong pages, which is
 * not known before pg_control comes, last of all.
 */
const MAX_FINDINGS = 10_000

/** Looks at the pages of the members of archives, while they pass. */
export class MemberContent {
  readonly #check: ContentCheck
  #findings: MemberFindings[] = []
  #pages = 0
  #isFull = false
  #isLooking = false
  /** How many bytes there are in the buffer. */
  #kept = 0

  constructor({ rules, replayedWal }: ExpectedContent) {
    this.#check = new ContentCheck(rules, new ReplayedWal(replayedWal), BUFFER_BYTES)
  }

  /** Forgets what was found: another archive begins. */
  reset(): void {
    this.#findings = []
    this.#pages = 0
    this.#isFull = false
    this.#isLooking = false
  }

  get summary(): {
    readonly pages: number
    readonly content: MemberFindings[]
    readonly isContentCut: boolean
  } {
    return { pages: this.#pages, content: this.#findings, isContentCut: this.#isFull }
  }

  /** Says that the bytes to come are those of a file that has this name in the manifest, and is as long as it says. */
  begin(pathname: string, size: number): void {
    this.#isLooking = !this.#isFull && this.#check.begin(pathname, size)
    this.#kept = 0
  }

  /** Says that the bytes to come are of nothing that should be looked at. */
  skip(): void {
    this.#isLooking = false
  }

  bytes(bytes: Buffer): void {
    if (!this.#isLooking) return
    const { buffer } = this.#check
    for (let at = 0; at < bytes.length;) {
      const length = bytes.copy(buffer, this.#kept, at)
      at += length
      this.#kept = this.#check.take(this.#kept + length)
    }
  }

  /** Ends the file of this row. */
  end(row: number): void {
    if (!this.#isLooking) return
    const { pages, findings } = this.#check.end()
    this.#pages += pages
    if (findings !== undefined) this.#findings.push({ row, findings })
    this.#isFull = this.#findings.length >= MAX_FINDINGS
  }
}
