import { chownSync, mkdirSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCompressor } from './compressors.js'
import { type Cluster, createCluster } from './cluster.js'
import type { PostgresPrograms } from './postgres-programs.js'
import { fillCluster } from './real-backups.js'
import { mustRun } from './run-program.js'
import { sharedFixture } from './shared-fixture.js'

/** What pg_basebackup is told to make each of the backups. */
const backupOptions = {
  none: [],
  gzip: ['--gzip'],
  lz4: ['--compress=client-lz4'],
  zstd: ['--compress=client-zstd'],
  /** The WAL is in `base.tar`, not in an archive of its own. */
  'wal-in-base': ['--wal-method=fetch'],
} as const

export type TarBackupKind = keyof typeof backupOptions

export const tarBackupKinds: readonly TarBackupKind[] = Object.keys(backupOptions) as TarBackupKind[]

/**
 * Directories of backups in tar format that PostgreSQL 15's pg_basebackup made of one cluster, with two tablespaces and
 * odd file names. Made once per test run; nobody may change them.
 */
export async function realTarBackups(
  programs: PostgresPrograms,
): Promise<Readonly<Record<TarBackupKind, string>>> {
  const root = await sharedFixture('tar-backups-15', async (directory) => {
    const cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
    try {
      await fillCluster(cluster)
      for (const kind of tarBackupKinds) {
        await tarBaseBackup(cluster, join(directory, kind), backupOptions[kind])
      }
    } finally {
      await cluster.remove()
    }
  })
  return Object.fromEntries(tarBackupKinds.map((kind) => [kind, join(root, kind)])) as Record<
    TarBackupKind,
    string
  >
}

async function tarBaseBackup(cluster: Cluster, directory: string, args: readonly string[]): Promise<void> {
  const program = cluster.programs.path('pg_basebackup')
  if (program === undefined) throw new Error(`no pg_basebackup in "${cluster.programs.bin}"`)
  const { user } = cluster
  mkdirSync(directory, { mode: 0o700 })
  if (user !== undefined) chownSync(directory, user.uid, user.gid)
  const options = ['--format=tar', '--checkpoint=fast', '--no-sync', `--pgdata=${directory}`, ...args]
  await mustRun(program, options, { user, env: cluster.environment() })
}

/** Unpacks a tar backup, as a restore would: tablespaces where the links lead to, and WAL in `pg_wal`. */
export async function unpackTarBackup(directory: string, root: string): Promise<string> {
  const data = join(root, 'data')
  const names = await readdir(directory)
  const tarNames = names.filter((name) => name.includes('.tar'))
  for (const name of tarNames) {
    const stem = name.slice(0, name.indexOf('.'))
    const target = { base: data, pg_wal: join(data, 'pg_wal') }[stem] ?? join(data, 'pg_tblspc', stem)
    // A link in base.tar leads to the server's own tablespace.
    if (stem !== 'base' && stem !== 'pg_wal') await mustRun('rm', ['-rf', target])
    await mustRun('mkdir', ['-p', target])
    await mustRun('tar', ['-xf', join(directory, name), '-C', target])
  }
  await mustRun('cp', [join(directory, 'backup_manifest'), data])
  return data
}

const compressOptions = {
  '.tar': [],
  '.tar.gz': ['-I', 'gzip -1'],
  '.tar.lz4': ['-I', 'lz4 -q'],
  '.tar.zst': ['-I', 'zstd -q'],
} as const

export type PackedEnding = keyof typeof compressOptions

/** How archives are packed, by the ending of their names. */
export const packedEndings: readonly PackedEnding[] = (Object.keys(compressOptions) as PackedEnding[]).filter(
  (ending) => {
    const program = compressOptions[ending][1]?.split(' ')[0]
    return program === undefined || hasCompressor(program)
  },
)

/** Packs a directory as an archive. */
export async function packArchive(
  from: string,
  {
    directory,
    stem,
    ending,
  }: { readonly directory: string; readonly stem: string; readonly ending: PackedEnding },
  args: readonly string[] = ['.'],
): Promise<void> {
  const path = join(directory, `${stem}${ending}`)
  await mustRun('tar', ['-cf', path, ...compressOptions[ending], '-C', from, ...args])
}

/** Packs a data directory whose tablespaces are in it, and its manifest, as a tar backup. */
export async function packTarBackup(
  data: string,
  directory: string,
  options: readonly string[] = [],
  ending: PackedEnding = '.tar',
): Promise<void> {
  await mustRun('mkdir', [directory])
  const pack = async (stem: string, from: string, args: readonly string[] = []): Promise<void> => {
    await packArchive(from, { directory, stem, ending }, [...options, ...args, '.'])
  }
  const excluded = ['./pg_tblspc/*', './pg_wal', './backup_manifest'].map((path) => `--exclude=${path}`)
  await pack('base', data, ['--anchored', ...excluded])
  await pack('pg_wal', join(data, 'pg_wal'))
  const oids = await readdir(join(data, 'pg_tblspc')).catch(() => [])
  for (const oid of oids) await pack(oid, join(data, 'pg_tblspc', oid))
  await mustRun('cp', [join(data, 'backup_manifest'), directory])
}
