import { parsePositiveUnsignedInt32 } from './unsigned-int.js'
import type { PostgresVersion } from './versions.js'

/**
 * Which of a relation's files it is: its data, its free space map, its visibility map, or the empty file from which an
 * unlogged relation begins anew after a crash.
 */
export type RelationFork = 'main' | 'fsm' | 'vm' | 'init'

/** What the name of a relation's file says. */
export interface RelationFileName {
  /** The relation's file number (before PostgreSQL 16 called relfilenode), 1 to 2^32-1. */
  readonly relationNumber: number
  readonly fork: RelationFork
  /** A fork is cut into files of 1 GiB; 0 for the first. */
  readonly segment: number
}

const forksBySuffix: ReadonlyMap<string | undefined, RelationFork> = new Map([
  [undefined, 'main'],
  ['fsm', 'fsm'],
  ['vm', 'vm'],
  ['init', 'init'],
])

const relationFileName = /^([1-9][0-9]*)(?:_(fsm|vm|init))?(?:\.([1-9][0-9]*))?$/
const databaseDirectory = /^(?:base|pg_tblspc\/[0-9]+\/PG_[^/]+)\/[0-9]+$/
const temporaryRelationFileName = /^t[0-9]+_[0-9]+(?:_(?:fsm|vm|init))?(?:\.[0-9]+)?$/

/**
 * Reads the name of a file that belongs to a permanent or unlogged relation: `16394`, `16394.1`, `16394_vm`.
 *
 * @returns `undefined` for every other name, those of temporary relations among them.
 * @see src/backend/storage/file/reinit.c (`parse_filename_for_nontemp_relation`)
 * @see https://www.postgresql.org/docs/current/storage-file-layout.html
 */
export function parseRelationFileName(name: string): RelationFileName | undefined {
  const [, numberText, suffix, segmentText] = relationFileName.exec(name) ?? []
  if (numberText === undefined) return undefined
  const relationNumber = parsePositiveUnsignedInt32(numberText)
  const segment = segmentText === undefined ? 0 : parsePositiveUnsignedInt32(segmentText)
  const fork = forksBySuffix.get(suffix)
  if (relationNumber === undefined || segment === undefined || fork === undefined) return undefined
  return { relationNumber, fork, segment }
}

/**
 * Tells whether a name is that of a temporary relation's file: `t3_16394`, backend and relation number.
 *
 * @see src/backend/storage/file/fd.c (`looks_like_temp_rel_name`)
 */
export function isTemporaryRelationFileName(name: string): boolean {
  return temporaryRelationFileName.test(name)
}

/**
 * Finds the unlogged relations of a directory: those that have an init fork.
 *
 * @param names - the names of all files in one directory.
 * @returns their relation numbers.
 */
export function unloggedRelations(names: Iterable<string>): Set<number> {
  const numbers = new Set<number>()
  for (const name of names) {
    const file = parseRelationFileName(name)
    if (file?.fork === 'init' && file.segment === 0) numbers.add(file.relationNumber)
  }
  return numbers
}

/**
 * Tells whether a base backup leaves out a file because of the relation it belongs to: every file of a temporary
 * relation, and of an unlogged one all but the init fork. Only where relations are kept: in database directories, and,
 * by newer servers, for unlogged relations alone, in `global`.
 *
 * @param directoryPathname - the file's directory, relative to the data directory.
 * @param name - the file's name in it.
 * @param unlogged - what {@link unloggedRelations} found in that directory.
 * @param version - of the server.
 * @see src/backend/backup/basebackup.c (`sendDir`)
 */
export function isLeftOutRelationFile(
  directoryPathname: string,
  name: string,
  unlogged: ReadonlySet<number>,
  version: PostgresVersion,
): boolean {
  const isDatabase = databaseDirectory.test(directoryPathname)
  if (isDatabase && isTemporaryRelationFileName(name)) return true

  const isGlobal = directoryPathname === 'global' && version.leavesOutUnloggedInGlobal
  if (!isDatabase && !isGlobal) return false
  const file = parseRelationFileName(name)
  return file !== undefined && file.fork !== 'init' && unlogged.has(file.relationNumber)
}
