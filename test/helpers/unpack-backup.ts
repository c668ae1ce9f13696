import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { backupLayout, type PlainBackup, readPlainBackup } from './plain-backup.js'
import type { StreamedBackup } from './replication-connection.js'
import { mustRun } from './run-program.js'

/** Unpacks the archives of a streamed backup below `root`, in plain format, and puts its manifest there. */
export async function unpackBackup(backup: StreamedBackup, root: string): Promise<PlainBackup> {
  const { directory, tablespacesDirectory } = backupLayout(root)
  // PostgreSQL does not start on a data directory that others may read.
  await mkdir(directory, { recursive: true, mode: 0o700 })
  for (const { name, location, path } of backup.archives) {
    if (location !== '') continue
    if (name !== 'base.tar') throw new Error(`unexpected archive "${name}"`)
    await unpack(path, directory)
  }
  for (const { oid } of backup.tablespaces) {
    const target = join(tablespacesDirectory, oid)
    await mkdir(target, { recursive: true, mode: 0o700 })
    const archive = backup.archives.find(({ name }) => name === `${oid}.tar`)
    if (archive === undefined) throw new Error(`no archive of tablespace ${oid}`)
    await unpack(archive.path, target)
    // base.tar has the link as it is on the server.
    const link = join(directory, 'pg_tblspc', oid)
    await rm(link, { force: true })
    await symlink(target, link)
  }
  if (backup.manifest.length > 0) await writeFile(join(directory, 'backup_manifest'), backup.manifest)
  return readPlainBackup(root)
}

async function unpack(archive: string, directory: string): Promise<void> {
  await mustRun('tar', ['-xpf', archive, '-C', directory])
}
