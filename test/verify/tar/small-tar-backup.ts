import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { everNeededDirectories } from '../../../src/postgres/data-directory.js'
import { emptyFile, formatManifest, versionFile } from '../../cli/small-backup.js'
import { tarArchive, tarMember } from '../../files/tar/make-tar.js'

export const version: Buffer = tarMember({ name: 'PG_VERSION' }, '15\n')
/** The directories that a server needs. */
export const directories: readonly Buffer[] = everNeededDirectories.map((name) =>
  tarMember({ name: `${name}/`, typeflag: '5' }),
)
/** With the directories before it. */
export const empty: Buffer = Buffer.concat([...directories, tarMember({ name: './base/1/16384' })])
/** In a tablespace: six bytes. */
export const remote: Buffer = tarMember({ name: 'PG_15_202209061/5/16390' }, '15\n15\n')

const remoteFile = { path: 'pg_tblspc/16385/PG_15_202209061/5/16390', size: 6, checksum: '2fa33cba' }

/** What a small backup in tar format is made of. */
export const intactArchives: { readonly 'base.tar': Buffer; readonly '16385.tar': Buffer } = {
  'base.tar': tarArchive(version, empty),
  '16385.tar': tarArchive(remote),
}

const smallManifest: string = formatManifest([versionFile, emptyFile, remoteFile])

/** Writes archives, but for those that are `undefined`, and the manifest of the smallest backup with a tablespace; returns the directory. */
export async function writeSmallTarBackup(
  parent: string,
  archives: Readonly<Record<string, Buffer | undefined>>,
): Promise<string> {
  const directory = join(parent, 'backup')
  await mkdir(directory)
  for (const [name, bytes] of Object.entries(archives)) {
    if (bytes !== undefined) await writeFile(join(directory, name), bytes)
  }
  await writeFile(join(directory, 'backup_manifest'), smallManifest)
  return directory
}
