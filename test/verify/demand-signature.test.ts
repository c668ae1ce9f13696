import { copyFile, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import {
  verifyArchiveStream,
  verifyBackup,
  verifyChain,
  type VerifyOptions,
  type VerifyReport,
} from 'pbmanifest'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import { manifestNamespace } from '../../src/signature/signature-place.js'
import { signFile } from '../../src/signature/sign-file.js'
import { formatChainReportAsJson, formatReportAsJson } from '../../src/verify/format-report.js'
import { emptyFile, formatManifest, versionFile, writeSmallBackup } from '../cli/small-backup.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { describeWithOpenSsh, makeKey, signBySshKeygen } from '../helpers/ssh-programs.js'
import { intactArchives, writeSmallTarBackup } from './tar/small-tar-backup.js'

async function kindsOf(report: Promise<VerifyReport>): Promise<string[]> {
  return (await report).problems.map(({ kind }) => kind)
}

describeWithOpenSsh('a backup whose manifest has to be signed', () => {
  let scratch: ScratchDirectory
  let backup: string
  let key: string
  let allowedSigners: string

  beforeEach(async () => {
    scratch = createScratchDirectory()
    backup = await writeSmallBackup(scratch.path)
    key = await makeKey(scratch.path, 'key')
    allowedSigners = join(scratch.path, 'allowed_signers')
    await writeFile(allowedSigners, `ops@example.com ${await readFile(`${key}.pub`, 'utf8')}`)
  })
  afterEach(() => scratch.remove())

  async function verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return await verifyBackup(backup, { noParseWal: true, jobs: 1, allowedSigners, ...options })
  }

  test('verifies when it is, and the report says by whom', async () => {
    const { fingerprint } = await signFile(backup, { key })
    const report = await verify({ signerIdentity: 'ops@example.com' })
    expect(report).toMatchObject({
      verdict: 'verified',
      signature: {
        path: `${backup}.sig`,
        signer: 'ops@example.com',
        keyType: 'ssh-ed25519',
        fingerprint,
        namespace: manifestNamespace,
      },
    })
    const json: unknown = JSON.parse([...formatReportAsJson(report)].join(''))
    expect(validatorOf('verify-report')(json)).toBeUndefined()
  })

  test('is not looked at otherwise', async () => {
    await signFile(backup, { key })
    const report = await verifyBackup(backup, { noParseWal: true, jobs: 1 })
    expect(report.verdict).toBe('verified')
    expect('signature' in report).toBe(false)
  })

  test('has a problem when it is not, and one for each file besides', async () => {
    await rm(join(backup, 'PG_VERSION'))
    const report = await verify()
    expect(report).toMatchObject({
      verdict: 'failed',
      signature: null,
      problems: [
        {
          kind: 'signature-missing',
          message: 'the backup manifest is not signed',
          detail: `there is no "${backup}.sig" nor "${backup}/backup_manifest.sig"`,
        },
        { kind: 'missing', path: 'PG_VERSION' },
      ],
      problemCounts: { 'signature-missing': 1 },
    })
    const json: unknown = JSON.parse([...formatReportAsJson(report)].join(''))
    expect(validatorOf('verify-report')(json)).toBeUndefined()
  })

  test('has one when its manifest fits its files, and itself, but is not what was signed', async () => {
    await signFile(backup, { key })
    await rm(join(backup, 'base/1/16384'))
    await writeFile(join(backup, 'backup_manifest'), formatManifest([versionFile]))
    expect(await kindsOf(verifyBackup(backup, { noParseWal: true, jobs: 1 }))).toEqual([])
    expect(await kindsOf(verify())).toEqual(['signature-invalid'])
    await writeFile(join(backup, 'backup_manifest'), formatManifest([versionFile, emptyFile]))
    await writeFile(join(backup, 'base/1/16384'), '')
    expect(await kindsOf(verify())).toEqual([])
  })

  test('has one when the signature is of the same manifest with other blanks', async () => {
    await signFile(backup, { key })
    const text = await readFile(join(backup, 'backup_manifest'), 'utf8')
    await writeFile(join(backup, 'backup_manifest'), text.replace('"}', '" }'))
    expect(await kindsOf(verify())).toEqual(['signature-invalid'])
  })

  test('has one when somebody else has signed', async () => {
    await signFile(backup, { key: await makeKey(scratch.path, 'another') })
    expect(await kindsOf(verify())).toEqual(['signer-not-allowed'])
    await signFile(backup, { key })
    expect(await kindsOf(verify({ signerIdentity: 'dba@example.com' }))).toEqual(['signer-not-allowed'])
  })

  test('has one when nobody is known who may sign', async () => {
    await signFile(backup, { key })
    await writeFile(allowedSigners, 'what is this\n')
    expect(await kindsOf(verify())).toEqual(['signer-not-allowed'])
  })

  test('ends there when the first problem is enough', async () => {
    await rm(join(backup, 'PG_VERSION'))
    const report = await verify({ exitOnError: true })
    expect(report.problems).toHaveLength(1)
    expect(report.notChecked.map(({ what }) => what)).toContain('after-first-problem')
  })

  test('may have the signature that ssh-keygen makes, in its directory', async () => {
    await signBySshKeygen(key, manifestNamespace, join(backup, 'backup_manifest'))
    expect(await kindsOf(verify())).toEqual([])
    expect((await verify()).signature?.path).toBe(`${backup}/backup_manifest.sig`)
    // Nobody who does not ask for a signature wants it there.
    expect(await kindsOf(verifyBackup(backup, { noParseWal: true, jobs: 1 }))).toEqual(['extra'])
    // Nor is a second one of use, or one of another name.
    await signFile(backup, { key })
    expect(await kindsOf(verify())).toEqual(['extra'])
    await rm(`${backup}.sig`)
    await writeFile(join(backup, 'base/backup_manifest.sig'), '')
    expect(await kindsOf(verify())).toEqual(['extra'])
  })

  test('has what is in the place of the signature looked at, not passed over', async () => {
    await mkdir(join(backup, 'backup_manifest.sig'))
    await writeFile(join(backup, 'backup_manifest.sig/hidden'), '')
    expect(await kindsOf(verify())).toEqual(['signature-invalid', 'extra'])
  })

  test('may be reached by a link', async () => {
    await signFile(backup, { key })
    const latest = join(scratch.path, 'latest')
    await symlink('backup', latest)
    expect(await kindsOf(verifyBackup(latest, { noParseWal: true, jobs: 1, allowedSigners }))).toEqual([])
  })

  test('may have manifest and signature elsewhere', async () => {
    const manifestPath = join(scratch.path, 'monday')
    await rename(join(backup, 'backup_manifest'), manifestPath)
    await signFile(manifestPath, { key })
    expect(await kindsOf(verify({ manifestPath }))).toEqual([])
    await rename(`${manifestPath}.sig`, join(scratch.path, 'signature'))
    expect(await kindsOf(verify({ manifestPath }))).toEqual(['signature-missing'])
    const signaturePath = join(scratch.path, 'signature')
    expect(await kindsOf(verify({ manifestPath, signaturePath }))).toEqual([])
    await copyFile(signaturePath, join(backup, 'by-hand.sig'))
    const inBackup = join(backup, '.', 'base', '..', 'by-hand.sig')
    expect(await kindsOf(verify({ manifestPath, signaturePath: inBackup }))).toEqual([])
  })

  test('may be in tar format, or come in alone', async () => {
    await rm(backup, { recursive: true })
    const directory = await writeSmallTarBackup(scratch.path, intactArchives)
    const options = { noParseWal: true, allowedSigners } as const
    expect(await kindsOf(verifyBackup(directory, options))).toEqual(['signature-missing'])
    await signBySshKeygen(key, manifestNamespace, join(directory, 'backup_manifest'))
    expect(await kindsOf(verifyBackup(directory, options))).toEqual([])
    expect(await kindsOf(verifyBackup(directory, { noParseWal: true }))).toEqual(['extra'])
    const manifestPath = join(directory, 'backup_manifest')
    const stream = createReadStream(join(directory, 'base.tar'))
    const report = await verifyArchiveStream(stream, { ...options, manifestPath })
    expect(report).toMatchObject({ verdict: 'partial', signature: { signer: 'ops@example.com' } })
  })

  test('may be one of a chain, in which each has its own signature', async () => {
    const other = join(scratch.path, 'other')
    await mustRun('cp', ['-a', backup, other])
    await signFile(other, { key })
    const chain = await verifyChain([backup, other], { noParseWal: true, jobs: 1, allowedSigners })
    expect(chain.backups).toMatchObject([
      { verdict: 'failed', signature: null, problemCounts: { 'signature-missing': 1 } },
      { verdict: 'verified', signature: { path: `${other}.sig`, signer: 'ops@example.com' } },
    ])
    const json: unknown = JSON.parse([...formatChainReportAsJson(chain)].join(''))
    expect(validatorOf('verify-chain-report')(json)).toBeUndefined()
  })

  test('is not verified when who may sign is not known', async () => {
    await expect(verify({ allowedSigners: join(scratch.path, 'nobody') })).rejects.toMatchObject({
      code: 'IO',
    })
    await expect(verifyBackup(backup, { signaturePath: `${backup}.sig` })).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  test('is no backup at all when there is none, as without a signature', async () => {
    await expect(
      verifyBackup(`${backup}-nowhere`, { allowedSigners, signaturePath: allowedSigners }),
    ).rejects.toMatchObject({ code: 'IO', message: expect.stringContaining('No such file or directory') })
  })
})
