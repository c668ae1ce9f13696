import { cp, mkdir, readdir, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyBackup } from 'pbmanifest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { pgBaseBackup } from '../helpers/base-backup.js'
import { type BackupCopy, copyBackup } from '../helpers/copy-backup.js'
import type { PlainBackup } from '../helpers/plain-backup.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { mustRun } from '../helpers/run-program.js'
import { ServerProcess } from '../helpers/server-process.js'

/** Those of a cluster without commit timestamps, slots, statistics and prepared transactions; in the order of the report. */
const emptyInBackup = [
  'pg_commit_ts',
  'pg_logical/mappings',
  'pg_logical/snapshots',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat',
  'pg_subtrans',
  'pg_twophase',
]

describeWithDebianPostgres('a backup that was copied as files only', (programs) => {
  let cluster: Cluster
  let backup: PlainBackup
  let copy: BackupCopy
  let versionDirectory: string
  let unpackedCount = 0

  beforeAll(async () => {
    cluster = await createCluster(programs)
    await cluster.createTablespace('nothing')
    backup = await pgBaseBackup(cluster, { name: 'whole' })
    copy = await copyBackup(backup)
    const [oid = ''] = await readdir(join(copy.directory, 'pg_tblspc'))
    const [version = ''] = await readdir(join(copy.directory, 'pg_tblspc', oid))
    versionDirectory = `pg_tblspc/${oid}/${version}`
    await mustRun('find', [`${copy.root}/`, '-depth', '-type', 'd', '-empty', '-delete'])
    for (const { directory } of copy.tablespaces) await mkdir(directory, { recursive: true })
  })

  afterAll(async () => {
    copy.remove()
    await cluster.remove()
  })

  test('lacks each directory that a server needs, and pg_verifybackup does not see it', async () => {
    const { problems } = await verifyBackup(copy.directory)
    expect(problems).toEqual(
      [...emptyInBackup, versionDirectory].map((path) => ({
        kind: 'missing-directory',
        path,
        message: `directory "${path}" is needed by the server but not on disk`,
      })),
    )
    const peer = await cluster.run('pg_verifybackup', [copy.directory])
    expect(peer).toMatchObject({ status: 0 })
  })
  test('lacks nothing where that was asked to be ignored', async () => {
    const ignore = [...emptyInBackup.map((path) => path.replace('snapshots', '*')), 'pg_tblspc']
    const { problems, verdict } = await verifyBackup(copy.directory, { ignore })
    expect(problems).toEqual([])
    expect(verdict).toBe('verified')
  })

  test('is not judged by what a server of an unknown version needs, and that is said', async () => {
    const unknown = join(copy.root, 'unknown')
    await cp(copy.directory, unknown, { recursive: true })
    await writeFile(join(unknown, 'PG_VERSION'), '99\n')
    const { problems, notChecked } = await verifyBackup(unknown)
    expect(problems.map(({ kind }) => kind)).not.toContain('missing-directory')
    expect(notChecked).toContainEqual({
      what: 'needed-directories',
      why: 'this version does not know PostgreSQL 99',
    })
  })

  test('has no use for a file in the place of a directory', async () => {
    const other = join(copy.root, 'other')
    await cp(copy.directory, other, { recursive: true })
    await writeFile(join(other, 'pg_notify'), '')
    const { problems } = await verifyBackup(other)
    expect(problems.filter(({ path }) => path === 'pg_notify').map(({ message }) => message)).toEqual([
      '"pg_notify" is present on disk but not in the manifest',
    ])
  })

  test('lacks them in its archives too', async () => {
    const root = await cluster.makeDirectory('backups', 'tar')
    await cluster.run('pg_basebackup', ['--checkpoint=fast', '--no-sync', '-Ft', `--pgdata=${root}`])
    expect(await verifyBackup(root)).toMatchObject({ verdict: 'verified', format: 'tar' })
    const oid = versionDirectory.split('/')[1] ?? ''
    await packAgainWithout(join(root, 'base.tar'), ['pg_notify', 'pg_logical/mappings'])
    await packAgainWithout(join(root, `${oid}.tar`), [versionDirectory.split('/').at(-1) ?? ''])
    const { problems } = await verifyBackup(root)
    expect(problems.map(({ kind, message }) => [kind, message])).toEqual(
      ['pg_logical/mappings', 'pg_notify', versionDirectory].map((path) => [
        'missing-directory',
        `directory "${path}" is needed by the server but not in any archive`,
      ]),
    )
  })

  test('is whole again, and a server starts on it, when they are made again', async () => {
    const { problems } = await verifyBackup(copy.directory)
    for (const { path = '' } of problems) await mkdir(join(copy.directory, path), { mode: 0o700 })
    expect(await verifyBackup(copy.directory)).toMatchObject({ verdict: 'verified' })
    const { user } = cluster
    if (user !== undefined) await mustRun('chown', ['-R', `${user.uid}:${user.gid}`, copy.root])
    const restored = new ServerProcess({
      programs,
      dataDirectory: copy.directory,
      logFile: join(copy.root, 'server.log'),
      user,
    })
    await cluster.stop()
    try {
      await restored.start()
      await cluster.sql('CREATE TABLE t (n int) TABLESPACE nothing; NOTIFY a; CHECKPOINT')
    } finally {
      await restored.end()
    }
  })

  async function packAgainWithout(archive: string, directories: readonly string[]): Promise<void> {
    const unpacked = await cluster.makeDirectory(`unpacked${unpackedCount++}`)
    await mustRun('tar', ['-xf', archive, '-C', unpacked])
    for (const directory of directories) await rmdir(join(unpacked, directory))
    await mustRun('tar', ['-cf', archive, '-C', unpacked, '.'])
  }
})
