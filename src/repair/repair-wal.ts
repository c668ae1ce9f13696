import { closeSync } from 'node:fs'
import { openRegularFile } from '../files/open-regular-file.js'
import { readFully } from '../files/read-fully.js'
import { displayPathname } from '../files/pathname.js'
import { ownPathname, type SafePathname } from '../files/safe-pathname.js'
import type { Yielder } from '../files/yielder.js'
import type { ControlFile } from '../postgres/control-file.js'
import {
  parseWalSegmentName,
  segmentHoldingEnd,
  segmentHoldingStart,
  walSegmentName,
} from '../postgres/wal-segment.js'
import type { BackupSource } from '../source/backup-source.js'
import type { IgnoreRules } from '../verify/ignore-rules.js'
import type { ManifestContents } from '../verify/manifest-files.js'
import { ProblemList } from '../verify/problems.js'
import type { NotChecked, Problem } from '../verify/report.js'
import type { ReadSmallBackupFile } from '../verify/verify-context.js'
import { checkWal } from '../verify/wal/check-wal.js'
import { fileWalSource, listWalSegments } from '../verify/wal/file-wal-source.js'
import { findWalSegmentSize } from '../verify/wal/wal-segment-size.js'
import type { SegmentPlace, WalSource } from '../verify/wal/wal-source.js'
import { type Fetching, fetchFile } from './fetch-file.js'
import { writeFailed } from './repaired-directory.js'
import type { ReplacementFile } from './replacement-file.js'
import type { Reason, RepairItem } from './report.js'

/** What a repair of WAL needs to know. */
export interface WalRepair {
  readonly directory: string
  readonly source: BackupSource
  readonly manifest: ManifestContents
  readonly control: ControlFile | undefined
  readonly readSmallFile: ReadSmallBackupFile
  readonly ignore: IgnoreRules
  readonly jobs: number
  readonly yielder: Yielder
  readonly fetching: Fetching
  /** What was found wrong with the WAL. */
  readonly problems: readonly Problem[]
}

/**
 * Takes WAL segments that are missing or damaged from the copy.
 *
 * No manifest lists them. What shows that one is right is the WAL itself: every record of the manifest's ranges is read, in the
 * segments of the backup with those of the copy in between, and a segment takes its place only when all is good up to its end.
 */
export async function repairWal(repair: WalRepair): Promise<RepairItem[]> {
  const own = listWalSegments([`${repair.directory}/pg_wal`], false)
  const copy = listWalSegments([`${repair.source.place}/pg_wal`], false)
  const size =
    repair.control?.walSegmentSize ?? (await findWalSegmentSize(own)) ?? (await findWalSegmentSize(copy))
  if (size === undefined) return repair.problems.map((problem) => missingItem(problem, undefined))
  return await new WalPatch(repair, size, own, copy).run()
}

/** A segment of the copy that may take its place. */
interface Candidate {
  readonly problem: 'wal-missing' | 'wal-invalid'
  /** `undefined`: nothing is written. */
  readonly file: ReplacementFile | undefined
}

class WalPatch {
  readonly #repair: WalRepair
  readonly #segmentSize: number
  readonly #copy: WalSource
  /** Where each segment is that is read: in the backup, or a candidate. */
  readonly #places: Map<string, SegmentPlace>
  readonly #candidates = new Map<string, Candidate>()
  /** Those of the copy that cannot be taken. */
  readonly #refused = new Map<string, Reason>()
  readonly #notChecked: NotChecked[] = []

  constructor(repair: WalRepair, segmentSize: number, own: WalSource, copy: WalSource) {
    this.#repair = repair
    this.#segmentSize = segmentSize
    this.#copy = copy
    this.#places = new Map(own.description?.segments)
  }

  async run(): Promise<RepairItem[]> {
    try {
      for (const name of this.#copy.names.toSorted()) {
        if (!this.#isNeeded(name)) continue
        const problem = this.#sizeOf(name)
        if (problem !== undefined) await this.#try(name, problem)
      }
      for (;;) {
        const problems = await this.#read()
        if (!(await this.#replaceFaulty(problems))) return await this.#conclude(problems)
      }
    } finally {
      for (const { file } of this.#candidates.values()) await file?.discard()
    }
  }

  #isNeeded(name: string): boolean {
    const segment = parseWalSegmentName(name, this.#segmentSize)
    if (segment === undefined) return false
    return this.#repair.manifest.walRanges.some(
      ({ timeline, startLsn, endLsn }) =>
        timeline === segment.timeline &&
        segment.segmentNumber >= segmentHoldingStart(startLsn, this.#segmentSize) &&
        segment.segmentNumber <= segmentHoldingEnd(endLsn, this.#segmentSize),
    )
  }

  /** What is wrong with the backup's own segment by the look of it. */
  #sizeOf(name: string): Candidate['problem'] | undefined {
    const place = this.#places.get(name)
    if (place === undefined) return 'wal-missing'
    try {
      const { descriptor, stats } = openRegularFile(place.path)
      closeSync(descriptor)
      return stats.size === this.#segmentSize ? undefined : 'wal-invalid'
    } catch {
      return 'wal-invalid'
    }
  }

  /** Has a segment of the copy read in place of the backup's. */
  async #try(name: string, problem: Candidate['problem']): Promise<boolean> {
    const { source, fetching } = this.#repair
    const pathname = ownPathname(`pg_wal/${name}`)
    for await (const file of source.files([pathname])) {
      const expected = { pathname, size: this.#segmentSize, checksum: undefined }
      const fetched = await fetchFile(file, expected, fetching)
      if ('reason' in fetched) {
        this.#refused.set(name, fetched.reason)
        return false
      }
      this.#candidates.set(name, { problem, file: fetched.file })
      const path =
        fetched.file === undefined
          ? `${source.place}/${pathname}`
          : `${this.#repair.directory}/${fetched.file.temporaryPathname}`
      this.#places.set(name, { path, part: undefined })
    }
    return true
  }

  /** Reads all WAL of the ranges, as it would be. */
  async #read(): Promise<Problem[]> {
    const { directory, fetching, manifest, control, readSmallFile, ignore, jobs, yielder } = this.#repair
    const problems = new ProblemList(undefined, false)
    const place = `${directory}/pg_wal`
    await checkWal({
      source: fileWalSource({ place, segments: this.#places, unusedPartials: new Set(), failure: undefined }),
      readSmallFile,
      jobs,
      signal: fetching.signal,
      manifest,
      control,
      ignore,
      problems,
      notChecked: this.#notChecked,
      totals: { walRecords: 0, walBytes: 0 },
      yielder,
      wanted: new Uint32Array(),
    })
    return [...problems]
  }

  /** @returns whether there is a segment of the copy that was not read yet */
  async #replaceFaulty(problems: readonly Problem[]): Promise<boolean> {
    let isNew = false
    for (const { kind, path } of problems) {
      if (kind !== 'wal-invalid' || path === undefined) continue
      const name = path.slice('pg_wal/'.length)
      // A record may go on in the next segment, and be damaged there.
      for (const suspect of [name, this.#next(name)]) {
        if (suspect === undefined || !(await this.#mayHelp(suspect))) continue
        isNew = (await this.#try(suspect, 'wal-invalid')) || isNew
        break
      }
    }
    return isNew
  }

  #next(name: string): string | undefined {
    const segment = parseWalSegmentName(name, this.#segmentSize)
    if (segment === undefined) return undefined
    return walSegmentName(segment.timeline, segment.segmentNumber + 1n, this.#segmentSize)
  }

  async #mayHelp(name: string): Promise<boolean> {
    const own = this.#places.get(name)
    const isOpen = !this.#candidates.has(name) && !this.#refused.has(name)
    if (!isOpen || own === undefined || !this.#isNeeded(name) || !this.#copy.names.includes(name))
      return false
    if (!(await this.#isSame(own.path, `${this.#repair.source.place}/pg_wal/${name}`))) return true
    const message = `WAL segment "${displayPathname(name)}" of the copy has the same content`
    this.#refused.set(name, { kind: 'copy-differs', message })
    return false
  }

  async #isSame(own: string, copy: string): Promise<boolean> {
    const descriptors: number[] = []
    const buffers = [Buffer.alloc(1024 * 1024), Buffer.alloc(1024 * 1024)] as const
    try {
      for (const path of [own, copy]) descriptors.push(openRegularFile(path).descriptor)
      const [left, right] = descriptors
      if (left === undefined || right === undefined) return false
      for (let at = 0; at < this.#segmentSize; at += buffers[0].length) {
        const lengths = [readFully(left, buffers[0], at), readFully(right, buffers[1], at)]
        if (lengths[0] !== lengths[1] || !buffers[0].equals(buffers[1])) return false
        if (this.#repair.yielder.isDue) await this.#repair.yielder.yield()
      }
      return true
    } catch {
      // The one who takes it learns why.
      return false
    } finally {
      for (const descriptor of descriptors) closeSync(descriptor)
    }
  }

  /** Puts the segments in their place that are good, and says of all that were not what became of them. */
  async #conclude(problems: readonly Problem[]): Promise<RepairItem[]> {
    const items: RepairItem[] = []
    for (const [name, { problem, file }] of [...this.#candidates].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const fault = problems.find((problem) => this.#isUnreadBecauseOf(name, problem))
      const reason =
        this.#whyUnread() ?? (fault === undefined ? await this.#put(name, file) : notShown(fault))
      items.push(itemOf(`pg_wal/${name}`, problem, reason, this.#repair.fetching.writes))
    }
    for (const problem of problems) {
      const { kind, path } = problem
      if (kind !== 'wal-missing' && kind !== 'wal-invalid') continue
      if (path !== undefined && items.some((item) => item.path === path)) continue
      const refused = path === undefined ? undefined : this.#refused.get(path.slice('pg_wal/'.length))
      items.push(missingItem(problem, refused))
    }
    return items
  }

  /** Why no record was read. */
  #whyUnread(): Reason | undefined {
    const left = this.#notChecked.find(({ what }) => what === 'wal-records')
    if (left === undefined) return undefined
    return { kind: 'no-checksum', message: `nothing shows that the copy's is the right one: ${left.why}` }
  }

  /** Whether what is wrong there leaves this segment unread, so that nothing shows that it is good. */
  #isUnreadBecauseOf(name: string, { kind, path }: Problem): boolean {
    if (kind !== 'wal-invalid' || path === undefined) return false
    const [segment, fault] = [name, path.slice('pg_wal/'.length)].map((each) =>
      parseWalSegmentName(each, this.#segmentSize),
    )
    if (segment === undefined || fault === undefined) return false
    return segment.timeline === fault.timeline && segment.segmentNumber >= fault.segmentNumber
  }

  async #put(name: string, file: ReplacementFile | undefined): Promise<Reason | undefined> {
    if (file === undefined) return undefined
    const pathname: SafePathname = ownPathname(`pg_wal/${name}`)
    try {
      await this.#repair.fetching.target.put(pathname, file)
      this.#candidates.delete(name)
      return undefined
    } catch (error) {
      return writeFailed(error)
    }
  }
}

function missingItem(
  { kind, path, message, detail = message }: Problem,
  refused: Reason | undefined,
): RepairItem {
  const reason: Reason = refused ?? {
    kind: 'copy-missing',
    message: `the copy does not have it either: ${detail}`,
  }
  return itemOf(path, kind === 'wal-missing' ? kind : 'wal-invalid', reason, false)
}

function notShown({ message, detail = message }: Problem): Reason {
  return { kind: 'copy-differs', message: `nothing shows that the copy's is good: ${detail}` }
}

function itemOf(
  path: string | undefined,
  problem: Candidate['problem'],
  reason: Reason | undefined,
  writes: boolean,
): RepairItem {
  return {
    what: 'wal-segment',
    ...(path !== undefined && { path }),
    problem,
    outcome: reason !== undefined ? 'not-repaired' : writes ? 'repaired' : 'repairable',
    ...(reason !== undefined && { reason }),
  }
}
