import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyStoredBackup } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { signFile } from '../../../src/signature/sign-file.js'
import { runCommandLine } from '../../cli/run-command-line.js'
import { emptyFile, formatManifest, versionFile } from '../../cli/small-backup.js'
import type { ProgramResult } from '../../helpers/run-program.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'
import { BUCKET, type ObjectStore, startStore } from '../../helpers/stores/object-store.js'
import { describeWithOpenSsh, makeKey } from '../../helpers/ssh-programs.js'
import { intactArchives } from '../tar/small-tar-backup.js'

const manifest = formatManifest([versionFile, emptyFile])
const remote = { path: 'pg_tblspc/16385/PG_15_202209061/5/16390', size: 6, checksum: '2fa33cba' }
const tarManifest = formatManifest([versionFile, emptyFile, remote])

let store: ObjectStore

beforeAll(async () => {
  store = await startStore('fauxqs')
  for (const name of ['plain', 'nights/monday', 'nights/tuesday']) {
    await store.put(`${name}/PG_VERSION`, '15\n')
    await store.put(`${name}/${emptyFile.path}`, '')
    await store.put(`${name}/backup_manifest`, manifest)
  }
  await store.put('tar/backup_manifest', tarManifest)
  for (const [name, bytes] of Object.entries(intactArchives)) await store.put(`tar/${name}`, bytes)
})

afterEach(() => store.proxy.reset())

afterAll(async () => store.close())

test('keys that are no pathnames, or no UTF-8, are named, and are never asked for', async () => {
  const keys = ['base/%FFx', 'base/../1', 'base//1', '../PG_VERSION', 'base/a%0Ab', 'base/.', '/']
  const found = ['../PG_VERSION', '/', '626173652fff78', 'base/.', 'base/../1', 'base//1', 'base/a\nb']
  const entries = keys.map(
    (key) => `<Contents><Key>plain/${key}</Key><Size>1</Size><ETag>x</ETag></Contents>`,
  )
  store.proxy.at = ({ url }) =>
    url.includes('list-type')
      ? {
          type: 'body',
          change: (body) =>
            body.replace('<Contents>', `<EncodingType>url</EncodingType>${entries.join('')}<Contents>`),
        }
      : undefined
  const { verdict, problems } = await verifyStoredBackup(`s3://${BUCKET}/plain`, {
    noParseWal: true,
    store: { env: store.env },
  })
  const named = problems.map(({ kind, path, encodedPath }) => `${kind} ${path ?? encodedPath}`)
  expect(verdict).toBe('failed')
  expect(new Set(named)).toEqual(new Set(found.map((path) => `extra ${path}`)))
  const asked = store.proxy.requests.filter(({ url }) => !url.includes('list-type')).map(({ url }) => url)
  expect([...new Set(asked)].toSorted()).toEqual([
    `/${BUCKET}/plain/PG_VERSION`,
    `/${BUCKET}/plain/backup_manifest`,
  ])
})

test('several backups below a prefix are told apart', async () => {
  const run = await runCommandLine(['verify', '-n', `s3://${BUCKET}/nights`], store.env)
  expect(run).toMatchObject({
    status: 5,
    stderr: expect.stringContaining(`"s3://${BUCKET}/nights/monday", "s3://${BUCKET}/nights/tuesday"`),
  })
})

test('two archives that should hold the same are a problem, and nothing is restored or repaired from them', async () => {
  const address = `s3://${BUCKET}/tar`
  await store.put('tar/base.tgz', intactArchives['base.tar'])
  expect(await runCommandLine(['verify', '-n', address], store.env)).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('file "base.tgz" should hold the same as "base.tar", and was not read'),
  })
  const scratch = createScratchDirectory()
  const target = join(scratch.path, 'data')
  const message = '"base.tgz" and "base.tar" should hold the same part of the backup'
  const restored = await runCommandLine(['restore', '--no-parse-wal', '-D', target, address], store.env)
  const isThere = existsSync(target)
  const repaired = await runCommandLine(['repair', '-n', '--from', address, scratch.path], store.env)
  scratch.remove()
  for (const run of [restored, repaired]) {
    expect(run).toMatchObject({ status: 5, stderr: expect.stringContaining(message) })
  }
  expect(isThere).toBe(false)
})

describeWithOpenSsh('a signature of a manifest in a store', () => {
  test('is a file of this machine, and is demanded as on disk', async () => {
    const scratch = createScratchDirectory()
    try {
      const key = await makeKey(scratch.path, 'key')
      const [file, signers] = [join(scratch.path, 'backup_manifest'), join(scratch.path, 'allowed_signers')]
      writeFileSync(signers, `ops@example.com ${readFileSync(`${key}.pub`, 'utf8')}`)
      writeFileSync(file, manifest)
      await signFile(file, { key })
      const verify = async (...args: readonly string[]): Promise<ProgramResult> =>
        await runCommandLine(
          ['verify', '-n', '--allowed-signers', signers, ...args, `s3://${BUCKET}/plain`],
          store.env,
        )
      expect(await verify('--signature', `${file}.sig`)).toMatchObject({ status: 0 })
      expect(await verify()).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('It has to be a file of this machine: --signature names it.'),
      })
      writeFileSync(file, formatManifest([versionFile]))
      await signFile(file, { key })
      expect(await verify('--signature', `${file}.sig`)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('signature'),
      })
    } finally {
      scratch.remove()
    }
  })
})
