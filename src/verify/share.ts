import type { Pathname } from '../files/pathname.js'
import type { FileTable } from './file-table/file-table.js'
import type { NotChecked, Problem } from './report.js'
import type { ArchiveContents } from '../source/tar/archive.js'

/** The parts of a report in which problems stand, in their order. */
export const problemPhases = [
  'signature',
  'scan',
  'archives',
  'content',
  'missing',
  'directories',
  'checksums',
  'cluster',
  'pages',
] as const

/** What stands between a problem that one share has found and the report of the whole, where others know better. */
type ProblemCondition =
  /** Unless a problem that stands before it is about the same file, or a directory above it. */
  | 'unless-concerned'
  /** Unless an archive could not be read to its end, or one has this directory. */
  | 'unless-in-archive'

/** Where in the report of the whole backup a problem stands. */
export interface ProblemPlace {
  readonly phase: (typeof problemPhases)[number]
  /** Compared from the first to the last; a shorter one stands before those that begin with it. */
  readonly key: readonly (number | string)[]
  readonly condition?: ProblemCondition
}

/** Of a problem that stands where it was found: only one share looks for such. */
export const placeInCluster: ProblemPlace = { phase: 'cluster', key: [] }

/**
 * Which share of a backup is verified, where others verify the rest: see `src/shards`. Whatever there is to report, precisely
 * one of the shares reports.
 */
export interface VerificationShare {
  /** Is told of the manifest before all else is asked. */
  begin(table: FileTable): void
  /** Whether this share has all that is no file: the signature, the directories that a server needs, pg_control, WAL. */
  readonly hasCluster: boolean
  /** Whether this file is in the share. */
  ownsRow(row: number): boolean
  /** Whether what is in this directory but not in the manifest is in the share. */
  ownsDirectory(directory: Pathname): boolean
  /** Whether there is anything for the share in this directory or below. */
  entersDirectory(directory: Pathname): boolean
  /** Whether an archive is in the share. */
  ownsArchive(contents: ArchiveContents): boolean
  /** Is told where each problem stands, in the order of the places. */
  readonly onProblem: (problem: Problem, place: ProblemPlace) => void
  /** Is told what tells the objects that were listed from any others. */
  readonly onListing: (digest: string) => void
  /** What only all shares together can tell of archives. */
  readonly archives: SharedArchives
}

/** What the shares of a backup in tar format know of its archives. */
export interface SharedArchives {
  /** All that there are, in the order of the report, each with its size. */
  names: readonly (readonly [name: string, size: number])[]
  /** Whether one of the share's could not be read to its end. */
  hasUnread: boolean
  /** Those of the directories that a server may need which the share's archives have. */
  directories: readonly Pathname[]
  /** Whether the checksums of pages count; `undefined`: the share does not know. */
  countsPages?: boolean
  /** What was not checked, by the archive or the first file that it is about. */
  notChecked: { readonly at: readonly [part: number, number: number]; readonly entry: NotChecked }[]
  /** How many entries stand before these in the report. */
  before: number
}
