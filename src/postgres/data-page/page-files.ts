import { parseRelationFileName, type RelationFileName } from '../relation-file-name.js'
import type { BlockAddress } from '../wal/record-body.js'

/** What a name in front of which a file of changed pages, in place of all, says so. */
const INCREMENTAL_PREFIX = 'INCREMENTAL.'

/** A file that holds pages, by its pathname. */
export interface PageFile {
  /** Whether it holds only the pages that have changed, with their numbers before them. */
  readonly isIncremental: boolean
  /** Which of its fork's files it is; `undefined` when it is no relation's, so that its pages have no known numbers. */
  readonly segment: number | undefined
}

const directoryOfRelations = /^(?:global|base\/[0-9]+|pg_tblspc\/[0-9]+\/PG_[^/]+\/[0-9]+)$/
const directoryOfIncrementals = /^(?:global$|base\/|pg_tblspc\/)/

/** Fixed OIDs of the tablespaces of `base` and `global`. @see src/include/catalog/pg_tablespace.dat */
const DEFAULT_TABLESPACE = 1663
const GLOBAL_TABLESPACE = 1664

/** What the pathname of a directory says of the files in it. */
export interface PageDirectory {
  /** Where its relations are, as WAL records name it; `undefined` when it has none. */
  readonly place: Pick<BlockAddress, 'tablespaceOid' | 'databaseOid'> | undefined
  readonly mayHaveIncrementals: boolean
}

/** @param directory - relative to the data directory, which itself is the empty one */
export function readPageDirectory(directory: string): PageDirectory {
  const mayHaveIncrementals = directoryOfIncrementals.test(directory)
  if (!directoryOfRelations.test(directory)) return { place: undefined, mayHaveIncrementals }
  const [first, second, , fourth] = directory.split('/')
  const places = {
    global: { tablespaceOid: GLOBAL_TABLESPACE, databaseOid: 0 },
    base: { tablespaceOid: DEFAULT_TABLESPACE, databaseOid: Number(second) },
    pg_tblspc: { tablespaceOid: Number(second), databaseOid: Number(fourth) },
  }
  return { place: places[first as keyof typeof places], mayHaveIncrementals }
}

/**
 * What {@link findPageFile} and {@link findRelationFork} find, for many files of one directory.
 *
 * @returns of which relation the file is, `undefined` when of none; `undefined` for a file without pages
 */
export function readPageFileName(
  { place, mayHaveIncrementals }: PageDirectory,
  name: string,
): { readonly isIncremental: boolean; readonly relation: RelationFileName | undefined } | undefined {
  const isIncremental = mayHaveIncrementals && name.startsWith(INCREMENTAL_PREFIX)
  const relation =
    place && parseRelationFileName(isIncremental ? name.slice(INCREMENTAL_PREFIX.length) : name)
  return relation === undefined && !isIncremental ? undefined : { isIncremental, relation }
}

/**
 * Tells whether a file holds data pages, and from where they are counted.
 *
 * Only the names of relations' files count, as a server from 17 takes them; older servers and pg_checksums take
 * `pg_internal.init.123` or a forgotten `t3_16394` for pages too. `INCREMENTAL.` counts where pg_combinebackup looks for it,
 * before any name.
 *
 * @param pathname - relative to the data directory
 * @returns `undefined` for a file without pages
 * @see src/backend/backup/basebackup.c (`sendDir`), src/bin/pg_combinebackup/pg_combinebackup.c
 * (`process_directory_recursively`)
 */
export function findPageFile(pathname: string): PageFile | undefined {
  const [directory, name] = splitPathname(pathname)
  const file = readPageFileName(readPageDirectory(directory), name)
  return file && { isIncremental: file.isIncremental, segment: file.relation?.segment }
}

/** The directory that a file is in, and its name there. */
export function splitPathname(pathname: string): [directory: string, name: string] {
  const slash = pathname.lastIndexOf('/')
  return [pathname.slice(0, Math.max(slash, 0)), pathname.slice(slash + 1)]
}

/** The pathname of the file of which an incremental file holds the changed pages. */
export function wholeFilePathname(pathname: string): string {
  const slash = pathname.lastIndexOf('/')
  return pathname.slice(0, slash + 1) + pathname.slice(slash + 1 + INCREMENTAL_PREFIX.length)
}

/** The pathname of the file that holds the changed pages of this one. */
export function incrementalPathname(pathname: string): string {
  const slash = pathname.lastIndexOf('/')
  return `${pathname.slice(0, slash + 1)}${INCREMENTAL_PREFIX}${pathname.slice(slash + 1)}`
}

const forkNumbers = { main: 0, fsm: 1, vm: 2, init: 3 } as const

/**
 * Tells of which relation's fork a file is, as WAL records name it, and which of the fork's files.
 *
 * @param pathname - relative to the data directory; of an incremental file too
 * @returns `undefined` when it is none
 */
export function findRelationFork(
  pathname: string,
): (Omit<BlockAddress, 'block'> & { readonly segment: number }) | undefined {
  const [directoryPathname, name] = splitPathname(pathname)
  const directory = readPageDirectory(directoryPathname)
  const relation = readPageFileName(directory, name)?.relation
  if (relation === undefined || directory.place === undefined) return undefined
  const { relationNumber, fork, segment } = relation
  return { ...directory.place, relationNumber, fork: forkNumbers[fork], segment }
}
