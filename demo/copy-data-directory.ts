import { type Dirent, constants } from 'node:fs'
import { copyFile, mkdir, readdir, readlink, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import {
  isLeftOutOfBaseBackup,
  isLeftOutRelationFile,
  isSentEmpty,
  unloggedRelations,
} from '../src/postgres/base-backup-contents.js'
import { hasErrorCode } from '../test/helpers/error-code.js'

export interface CopyPlan {
  /** The data directory of a server in backup mode. */
  readonly from: string
  /** Where its copy goes. */
  readonly to: string
  /** Where the copies of its tablespaces go, as `<oid>`. */
  readonly tablespaces: string
  readonly majorVersion: number
}

/** Copies a data directory that is in use, with its tablespaces, without its WAL, `global/pg_control` last. */
export async function copyDataDirectory(plan: CopyPlan): Promise<void> {
  await copyDirectory(plan, '', plan.from, plan.to)
  await copyFile(join(plan.from, controlFile), join(plan.to, controlFile))
}

const controlFile = 'global/pg_control'

/** @param pathname - The directory, relative to the data directory; empty for the data directory itself. */
async function copyDirectory(plan: CopyPlan, pathname: string, from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 })
  const entries = await readdir(from, { withFileTypes: true })
  const unlogged = unloggedRelations(entries.map((entry) => entry.name))
  for (const entry of entries) {
    const below = pathname === '' ? entry.name : `${pathname}/${entry.name}`
    const isLeftOut =
      below === controlFile ||
      isLeftOutOfBaseBackup(entry.name) ||
      isLeftOutRelationFile(pathname, entry.name, unlogged, plan.majorVersion)
    if (!isLeftOut) await copyEntry(plan, below, entry, join(to, entry.name))
  }
}

async function copyEntry(plan: CopyPlan, pathname: string, entry: Dirent, to: string): Promise<void> {
  const from = join(entry.parentPath, entry.name)
  if (pathname === 'pg_wal') await makeEmptyDirectories(to, join(to, 'archive_status'), join(to, 'summaries'))
  else if (isSentEmpty(entry.name)) await makeEmptyDirectories(to)
  else if (pathname.startsWith('pg_tblspc/') && entry.isSymbolicLink())
    await copyTablespace(plan, pathname, from)
  else if (entry.isDirectory()) await copyDirectory(plan, pathname, from, to)
  else if (entry.isFile()) await copyIfPresent(from, to)
}

/** Of a tablespace, only the directory of this version of PostgreSQL belongs to the cluster. */
async function copyTablespace(plan: CopyPlan, pathname: string, link: string): Promise<void> {
  const from = await readlink(link)
  const to = join(plan.tablespaces, pathname.replace('pg_tblspc/', ''))
  for (const name of await readdir(from)) {
    if (!name.startsWith(`PG_${String(plan.majorVersion)}_`)) continue
    await copyDirectory(plan, `${pathname}/${name}`, join(from, name), join(to, name))
  }
  await symlink(to, join(plan.to, pathname))
}

async function makeEmptyDirectories(...paths: readonly string[]): Promise<void> {
  for (const path of paths) await mkdir(path, { recursive: true, mode: 0o700 })
}

/** A table that is dropped meanwhile takes its files along: replaying the WAL drops it in the copy too. */
async function copyIfPresent(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL)
  } catch (error) {
    if (!hasErrorCode(error, 'ENOENT')) throw error
  }
}
