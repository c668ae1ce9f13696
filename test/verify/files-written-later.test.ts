import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyBackup } from 'pbmanifest'
import { beforeEach, expect, test } from 'vitest'
import { pbmanifest } from '../cli/pbmanifest.js'
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
  files?: string
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
    files: '"postgresql.auto.conf" and "standby.signal"',
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
  async ({ change, warnings, files, packedWarnings }) => {
    await change()
    const packed = join(scratch.path, 'packed')
    await mkdir(packed)
    await mustRun('tar', ['-cf', join(packed, 'base.tar'), '--exclude=backup_manifest', '-C', directory, '.'])
    await mustRun('cp', [join(directory, 'backup_manifest'), packed])
    const plain = await verifyBackup(directory, { noParseWal: true })
    expect(plain).toMatchObject({ verdict: 'verified', problems: [] })
    expect(plain.warnings.map(({ kind, message }) => `${kind}: ${message}`)).toEqual(warnings)
    expect(plain.notChecked).toContainEqual({
      what: 'files-written-later',
      why: `${files ?? `"${name}"`} may be written after the manifest, and only warned of`,
    })
    const { status, stderr } = await pbmanifest(['verify', '-n', directory])
    expect(status).toBe(0)
    expect(stderr).toBe(
      warnings.map((line) => `${line.replace(/^[a-z-]+/, 'pbmanifest: warning')}\n`).join(''),
    )
    expect((await pbmanifest(['verify', '-n', '-q', directory])).stderr).toBe('')
    const tar = await verifyBackup(packed, { noParseWal: true })
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
