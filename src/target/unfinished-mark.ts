import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Pathname } from '../files/pathname.js'
import { readSmallFile } from '../files/read-small-file.js'
import { UNFINISHED_MARK } from '../manifest/contents/made-by-backup.js'

/** What the mark of an unfinished backup tells to whoever finds it. */
export interface UnfinishedMark {
  /** `undefined`: the backup had not begun. */
  readonly backupId: string | undefined
  /** The directories of the backup: the target and the tablespaces. Bytes that are no text are half surrogate pairs in JSON, too. */
  readonly directories: readonly Pathname[]
  /** For people: who wrote it. */
  readonly writer: string
}

const MAX_BYTES = 1024 * 1024

/** @param run - tells the mark from that of any other run, where nothing else does */
export function formatUnfinishedMark(mark: Omit<UnfinishedMark, 'writer'>, run?: string): string {
  const writer = `process ${process.pid} on ${hostname()}`
  const json = { 'Unfinished-Backup': mark.backupId ?? null, Directories: mark.directories, Writer: writer }
  return `${JSON.stringify(run === undefined ? json : { ...json, Run: run })}\n`
}

/** The mark in a directory, when there is one; one that cannot be read says nothing but that it is there. */
export function readUnfinishedMark(directory: Pathname): UnfinishedMark | undefined {
  const bytes = readSmallFile(join(directory, UNFINISHED_MARK), MAX_BYTES)
  return bytes === undefined ? undefined : parseUnfinishedMark(bytes.toString('utf8'))
}

/** The text of a mark; one that cannot be read says nothing. */
export function parseUnfinishedMark(text: string): UnfinishedMark {
  const nothing: UnfinishedMark = { backupId: undefined, directories: [], writer: 'unknown' }
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json !== 'object' || json === null) return nothing
    const {
      'Unfinished-Backup': id,
      Directories: directories,
      Writer: writer,
    } = json as Record<string, unknown>
    return {
      backupId: typeof id === 'string' ? id : undefined,
      directories: Array.isArray(directories) ? directories.filter((item) => typeof item === 'string') : [],
      writer: typeof writer === 'string' ? writer : nothing.writer,
    }
  } catch {
    return nothing
  }
}
