import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseLsn } from '../../src/postgres/lsn.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import type { PlainBackup } from '../helpers/plain-backup.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { takeBaseBackup } from '../helpers/replication-connection.js'
import { type ProgramResult, runProgram } from '../helpers/run-program.js'
import { unpackBackup } from '../helpers/unpack-backup.js'
import { exampleIn, packageDirectory } from './example-in.js'

/** The examples in the docs of the package, one after the other: they tell one story. */
describe('the example of', () => {
  let cluster: Cluster
  let backup: PlainBackup
  let placeholders: ReadonlyMap<string, string>
  let application: string

  beforeAll(async () => {
    cluster = await createCluster(await embeddedPostgres())
    const streamed = await takeBaseBackup(cluster, { label: 'monday' })
    backup = await unpackBackup(streamed, join(cluster.scratch.path, 'unpacked'))
    rmSync(backup.manifestPath)
    application = join(cluster.scratch.path, 'application')
    const fragments = join(application, 'fragments')
    mkdirSync(fragments, { recursive: true })
    mkdirSync(join(application, 'node_modules'))
    symlinkSync(packageDirectory, join(application, 'node_modules/pbmanifest'))
    placeholders = new Map([
      ['/backups/monday', backup.directory],
      ['/backups/fragments', fragments],
      ['/backups/tuesday', join(application, 'tuesday')],
      ['host=db1 user=backup', `host=${cluster.socketDirectory} user=postgres`],
      ['0x3000100n', `${parseLsn(streamed.endLsn)}n`],
    ])
  })

  afterAll(() => cluster.remove())

  async function run(
    sourceFile: string,
    more: readonly (readonly [string, string])[] = [],
  ): Promise<ProgramResult> {
    let code = exampleIn(sourceFile)
    for (const [placeholder, real] of [...placeholders, ...more]) code = code.replaceAll(placeholder, real)
    const script = join(application, 'example.mjs')
    writeFileSync(script, code)
    return await runProgram(process.execPath, [script])
  }

  test('takeBackup takes a backup', async () => {
    const { status, stdout, stderr } = await run('src/transfer/client/take-backup.ts')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^[0-9]+ [0-9]+ (?:server|network|client|writing|rate-limit)\n$/)
  })

  test('writeFragment writes the fragments of all workers', async () => {
    expect(await run('src/manifest/fragment/write-fragment.ts')).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
  })

  test('mergeFragments merges them', async () => {
    expect(await run('src/manifest/merge/merge-fragments.ts')).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^[0-9]+ files, checksum [0-9a-f]{64}\n$/),
      stderr: '',
    })
  })

  test('readManifest reads the manifest', async () => {
    expect(await run('src/manifest/read-manifest.ts')).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^[0-9]+ files, [0-9]+ bytes\n$/),
      stderr: '',
    })
  })

  test('summarizeManifest, listManifestFiles and diffManifests tell what is in it', async () => {
    expect(await run('src/inspect/summarize-manifest.ts')).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^[0-9]+ files, [0-9]+ bytes\n1 [0-9]+\n5 [0-9]+\n$/),
      stderr: '',
    })
    const listed = await run('src/inspect/list-manifest-files.ts')
    expect(listed).toMatchObject({ status: 0, stderr: '' })
    expect(listed.stdout.split('\n').map((line) => Number(line.split(' ')[0]))).toEqual(
      expect.arrayContaining([3, 8192]),
    )
    const diff = await run('src/inspect/diff-manifests.ts')
    expect(diff).toMatchObject({ status: 0, stderr: '' })
    expect(diff.stdout).toMatch(/^(?:grown|changed) backup_label$/m)
  })

  test('createManifest makes one for a copy', async () => {
    const manifest = readFileSync(backup.manifestPath)
    rmSync(backup.manifestPath)
    const archive = join(cluster.dataDirectory, 'pg_wal')
    const created = await run('src/create/create-manifest.ts', [['/archive', archive]])
    expect(created).toEqual({
      status: 0,
      stdout: expect.stringMatching(/\/backup_manifest: [0-9]+ files\n$/),
      stderr: '',
    })
    writeFileSync(backup.manifestPath, manifest)
  })

  test('verifyBackup finds no problem', async () => {
    expect(await run('src/verify/verify-backup.ts')).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('verifyBackup finds the problem of a damaged backup', async () => {
    const path = join(backup.directory, 'base/1/PG_VERSION')
    writeFileSync(path, '17\n')
    const { status, stdout, stderr } = await run('src/verify/verify-backup.ts')
    writeFileSync(path, '18\n')
    expect({ status, stdout }).toEqual({
      status: 1,
      stdout: 'checksum-mismatch checksum mismatch for file "base/1/PG_VERSION"\n',
    })
    expect(stderr).toContain('Error: the backup cannot be trusted')
  })
})
