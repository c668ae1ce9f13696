import { createHash } from 'node:crypto'
import { cp, mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyBackup } from 'pbmanifest'
import { beforeEach, describe, expect, test } from 'vitest'
import { runCommandLine } from '../cli/run-command-line.js'
import { formatManifest, versionFile, writeTree } from '../cli/small-backup.js'
import { makeNeededDirectories } from '../helpers/needed-directories.js'
import { mustRun } from '../helpers/run-program.js'
import { useScratch } from '../manifest/use-scratch.js'

const scratch = useScratch()
let directory: string

/** Three bytes. */
const settings = { ...versionFile, path: 'postgresql.auto.conf' }

beforeEach(async () => {
  directory = join(scratch.path, 'backup')
  await makeNeededDirectories(directory)
  await writeTree(directory, {
    PG_VERSION: '15\n',
    'postgresql.auto.conf': '15\n',
    backup_manifest: formatManifest([versionFile, settings]),
  })
})

const name = 'postgresql.auto.conf'

test.each<{
  what: string
  change: () => Promise<void>
  warnings: readonly string[]
  files?: readonly string[]
  /** In archives, when they are others. */
  packedWarnings?: readonly string[]
}>([
  { what: 'as they were', change: async () => {}, warnings: [] },
  {
    what: 'changed, with the same size',
    change: async () => await writeFile(join(directory, name), '16\n'),
    warnings: ['changed-later: "postgresql.auto.conf" is not what the manifest says'],
  },
  {
    what: 'changed, as by pg_basebackup -R',
    change: async () => {
      await writeFile(join(directory, name), 'primary_conninfo = x\n')
      await writeFile(join(directory, 'standby.signal'), '')
    },
    warnings: [
      'changed-later: "postgresql.auto.conf" is not what the manifest says',
      'added-later: "standby.signal" is present on disk but not in the manifest',
    ],
    files: [name, 'standby.signal'],
  },
  {
    what: 'removed',
    change: async () => await rm(join(directory, name)),
    warnings: ['removed-later: "postgresql.auto.conf" is present in the manifest but not on disk'],
  },
  {
    what: 'a directory',
    change: async () => {
      await rm(join(directory, name))
      await mkdir(join(directory, name))
    },
    warnings: ['changed-later: "postgresql.auto.conf" could not be compared with the manifest'],
    packedWarnings: ['removed-later: "postgresql.auto.conf" is present in the manifest but not on disk'],
  },
])(
  'settings and signals that are $what are told, and are no problem',
  async ({ change, warnings, files = [name], packedWarnings }) => {
    await change()
    const archives = await packed()
    const plain = await verifyBackup(directory, { noParseWal: true })
    expect(plain).toMatchObject({ verdict: 'verified', problems: [] })
    expect(plain.warnings.map(({ kind, message }) => `${kind}: ${message}`)).toEqual(warnings)
    expect(plain.notChecked).toContainEqual({
      what: 'files-written-later',
      why: `${files.map((file) => `"${file}"`).join(' and ')} may be written after the manifest, and only warned of`,
      paths: files,
      count: files.length,
    })
    const { status, stderr } = await runCommandLine(['verify', '-n', directory])
    expect(status).toBe(0)
    expect(stderr).toBe(
      warnings.map((line) => `${line.replace(/^[a-z-]+/, 'pbmanifest: warning')}\n`).join(''),
    )
    expect((await runCommandLine(['verify', '-n', '-q', directory])).stderr).toBe('')
    const tar = await verifyBackup(archives, { noParseWal: true })
    expect(tar.warnings.map(({ kind, message }) => `${kind}: ${message}`)).toEqual(packedWarnings ?? warnings)
  },
)

test('of what was asked to be ignored nothing is said', async () => {
  await rm(join(directory, name))
  const report = await verifyBackup(directory, { noParseWal: true, ignore: [name] })
  expect(report.warnings).toEqual([])
  expect(report.notChecked.map(({ what }) => what)).not.toContain('files-written-later')
})

test('directories that a server needs with some settings only are warned of', async () => {
  await rm(join(directory, 'pg_dynshmem'), { recursive: true })
  await rm(join(directory, 'pg_stat_tmp'), { recursive: true })
  const report = await verifyBackup(directory, { noParseWal: true })
  expect(report).toMatchObject({ verdict: 'verified', problems: [] })
  expect(report.warnings.map(({ message }) => message)).toEqual([
    'directory "pg_dynshmem" is not on disk; a server with dynamic_shared_memory_type = mmap needs it',
    'directory "pg_stat_tmp" is not on disk; a server with pg_stat_statements needs it',
  ])
})

async function packed(): Promise<string> {
  const archives = join(scratch.path, 'packed')
  await mkdir(archives, { recursive: true })
  await mustRun('tar', ['-cf', join(archives, 'base.tar'), '--exclude=backup_manifest', '-C', directory, '.'])
  await mustRun('cp', [join(directory, 'backup_manifest'), archives])
  return archives
}

/** What is said of pg_wal. */
async function said(backup: string): Promise<unknown> {
  const { problems, warnings, notChecked } = await verifyBackup(backup, { noParseWal: true })
  expect(problems).toEqual([])
  return {
    warnings: warnings.map(({ kind, message }) => `${kind}: ${message}`),
    paths: notChecked.find(({ what }) => what === 'other-wal-files')?.paths,
  }
}

async function saidOfPgWal(): Promise<Record<'plain' | 'tar', unknown>> {
  return { plain: await said(directory), tar: await said(await packed()) }
}

describe('in pg_wal', () => {
  const history = '1\t0/3000000\tno recovery target specified\n'
  const inManifest = {
    path: 'pg_wal/00000002.history',
    size: history.length,
    checksum: '28a1a832',
  }

  beforeEach(async () => {
    await writeTree(directory, {
      'pg_wal/00000002.history': history,
      'pg_wal/archive_status/00000002.history.done': '',
      backup_manifest: formatManifest([versionFile, settings, inManifest]),
    })
  })

  test('a file that is what the manifest says is not mentioned', async () => {
    const nothing = { warnings: [], paths: undefined }
    expect(await saidOfPgWal()).toEqual({ plain: nothing, tar: nothing })
  })

  test('one that is not is warned of, and said not to count', async () => {
    await writeFile(join(directory, inManifest.path), history.replace('3', '4'))
    const said = {
      warnings: ['changed-later: "pg_wal/00000002.history" is not what the manifest says'],
      paths: [inManifest.path],
    }
    expect(await saidOfPgWal()).toEqual({ plain: said, tar: said })
  })

  test('what a server may have there is named, and warned of is what no server has', async () => {
    await writeTree(directory, {
      'pg_wal/00000003.history': '',
      'pg_wal/000000010000000000000001.00000028.backup': '',
      'pg_wal/core': '',
    })
    const { plain } = await saidOfPgWal()
    expect(plain).toEqual({
      warnings: ['added-later: "pg_wal/core" is present on disk but not in the manifest'],
      paths: ['pg_wal/000000010000000000000001.00000028.backup', 'pg_wal/00000003.history', 'pg_wal/core'],
    })
  })
})

test('a manifest in the backup that is another one than that it was verified against is warned of', async () => {
  const elsewhere = join(scratch.path, 'manifest')
  const own = join(directory, 'backup_manifest')
  await cp(own, elsewhere)
  const same = await verifyBackup(directory, { noParseWal: true, manifestPath: elsewhere })
  expect(same.warnings).toEqual([])
  await writeFile(own, formatManifest([versionFile]))
  const message = '"backup_manifest" is not the manifest that the backup was verified against'
  const other = await verifyBackup(directory, { noParseWal: true, manifestPath: elsewhere })
  expect(other).toMatchObject({
    verdict: 'verified',
    warnings: [{ kind: 'other-manifest', path: 'backup_manifest', message }],
  })
  expect(other.notChecked).toContainEqual({
    what: 'other-manifest',
    why: message,
    paths: ['backup_manifest'],
    count: 1,
  })
  await truncate(own)
  const { warnings } = await verifyBackup(directory, { noParseWal: true, manifestPath: elsewhere })
  expect(warnings.map(({ kind }) => kind)).toEqual(['other-manifest'])
})

test('files without a checksum are named, the first hundred of them', async () => {
  const names = Array.from({ length: 120 }, (_, index) => `base/${1000 + index}`)
  await writeTree(directory, Object.fromEntries(names.map((name) => [name, ''])))
  const without = formatManifest(names.map((path) => ({ path, size: 0, checksum: '' })))
  const body = without.replaceAll(', "Checksum-Algorithm": "CRC32C", "Checksum": ""', '')
  const own = body.slice(0, body.lastIndexOf('"Manifest-Checksum"'))
  const checksum = createHash('sha256').update(own).digest('hex')
  await writeFile(join(directory, 'backup_manifest'), `${own}"Manifest-Checksum": "${checksum}"}\n`)
  const { notChecked } = await verifyBackup(directory, { noParseWal: true, ignore: ['PG_VERSION'] })
  expect(notChecked).toContainEqual({
    what: 'files-without-checksum',
    why: 'the manifest has no checksum for 120 files',
    paths: names.slice(0, 100),
    count: 120,
  })
  expect(notChecked).toContainEqual(
    expect.objectContaining({ what: 'ignored-paths', paths: ['PG_VERSION'], count: 1 }),
  )
})
