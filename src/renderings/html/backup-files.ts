import { statSync } from 'node:fs'
import { describeSystemError } from '../../files/system-error.js'
import { isPbManifestError } from '../../errors.js'
import { readInventory } from '../../inspect/manifest-inventory.js'
import { findRelationFork } from '../../postgres/data-page/page-files.js'
import type { VerifyReport } from '../../verify/report.js'

/** The forks of a relation, and what is of none. */
export const fileForks = ['main', 'fsm', 'vm', 'init', 'other'] as const

export type FileFork = (typeof fileForks)[number]

/** The bytes of a relation, or of the files in one directory that are of none. */
export interface FileGroup {
  /** `pg_default`, `pg_global`, the OID of another, or `other files`. */
  readonly tablespace: string
  /** `5/16384`, database and relation; the directory of others. */
  readonly name: string
  readonly bytes: Readonly<Record<FileFork, number>>
  readonly total: number
}

/** What a report does not say of the files of its backup, and the manifest does. */
export interface BackupFiles {
  /** Largest first. */
  readonly groups: readonly FileGroup[]
  /** The size of a file by its pathname; `undefined` for what is not in the manifest. */
  readonly sizeOf: (pathname: string) => number | undefined
}

const DEFAULT_TABLESPACE = 1663
const GLOBAL_TABLESPACE = 1664

/**
 * Reads the manifest of a report again.
 *
 * @returns why not, where it is not there any more, or another one
 */
export async function readBackupFiles({ manifest }: VerifyReport): Promise<BackupFiles | string> {
  if (!isRegularFile(manifest.path)) return 'the manifest was not read from a file that is still there'
  const inventory = await readInventory(manifest.path, undefined).catch((error: unknown) => {
    if (isPbManifestError(error)) return error.message
    throw error
  })
  if (typeof inventory === 'string') return inventory
  const { table, summary } = inventory
  if (summary.checksum !== manifest.checksum) return 'the manifest is not the one any more that was verified'
  const groups = new Map<string, { tablespace: string; name: string; bytes: Record<FileFork, number> }>()
  for (let row = 0; row < table.rows; row++) {
    const { tablespace, name, fork } = placeOf(table.latin1Pathname(row))
    const key = `${tablespace}\0${name}`
    let group = groups.get(key)
    if (group === undefined) {
      group = { tablespace, name, bytes: { main: 0, fsm: 0, vm: 0, init: 0, other: 0 } }
      groups.set(key, group)
    }
    group.bytes[fork] += table.size(row)
  }
  return {
    groups: [...groups.values()]
      .map((group) => ({ ...group, total: fileForks.reduce((sum, fork) => sum + group.bytes[fork], 0) }))
      .toSorted((one, other) => other.total - one.total),
    sizeOf: (pathname) => {
      const row = table.find(pathname)
      return row === -1 ? undefined : table.size(row)
    },
  }
}

function isRegularFile(path: string): boolean {
  try {
    return statSync(path).isFile()
  } catch (error) {
    if (describeSystemError(error) === undefined) throw error
    return false
  }
}

/** @param pathname - each byte a character */
function placeOf(pathname: string): { tablespace: string; name: string; fork: FileFork } {
  const relation = findRelationFork(pathname)
  if (relation === undefined) {
    const slash = pathname.lastIndexOf('/')
    const directory = slash === -1 ? '(top)' : pathname.slice(0, slash)
    return { tablespace: 'other files', name: Buffer.from(directory, 'latin1').toString(), fork: 'other' }
  }
  const { tablespaceOid, databaseOid, relationNumber, fork } = relation
  const tablespace =
    tablespaceOid === DEFAULT_TABLESPACE
      ? 'pg_default'
      : tablespaceOid === GLOBAL_TABLESPACE
        ? 'pg_global'
        : String(tablespaceOid)
  return { tablespace, name: `${databaseOid}/${relationNumber}`, fork: fileForks[fork] ?? 'other' }
}
