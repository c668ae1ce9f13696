import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { describeWithOpenSsh, keyKinds, makeKey, startAgent } from '../helpers/ssh-programs.js'
import { pbmanifest } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'
import { writeSmallBackup } from './small-backup.js'

const noAgent = { SSH_AUTH_SOCK: '' }

describeWithOpenSsh('pbmanifest', () => {
  let scratch: ScratchDirectory
  let backup: string
  let key: string
  let signers: string

  beforeEach(async () => {
    scratch = createScratchDirectory()
    backup = await writeSmallBackup(scratch.path)
    key = await makeKey(scratch.path, 'key')
    signers = join(scratch.path, 'allowed_signers')
    await writeFile(signers, `ops@example.com ${await readFile(`${key}.pub`, 'utf8')}`)
  })
  afterEach(() => scratch.remove())

  test('sign says what it signed and where the signature is, and verify by whom', async () => {
    expect(await pbmanifest(['sign', '-f', key, backup], noAgent)).toEqual({
      status: 0,
      stdout: expect.stringMatching(
        new RegExp(
          `^signed "${backup}/backup_manifest" with key ssh-ed25519 SHA256:\\S{43}, into "${backup}.sig"\n$`,
        ),
      ),
      stderr: '',
    })
    expect(await runCommandLine(['verify', '-n', '--allowed-signers', signers, backup])).toEqual({
      status: 0,
      stdout: expect.stringMatching(
        /^backup successfully verified\n2 files, 3 bytes checked in .* s; manifest signed by "ops@example.com"; not checked: /,
      ),
      stderr: '',
    })
  })

  test('sign -q says nothing, and puts the signature where it is told to', async () => {
    const signature = join(scratch.path, 'elsewhere')
    const args = ['sign', '-q', `--key=${key}`, `--signature=${signature}`, backup]
    expect(await runCommandLine(args)).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(existsSync(`${backup}.sig`)).toBe(false)
    const verify = ['verify', '-nq', '--allowed-signers', signers, '-I', 'ops@example.com']
    expect(await runCommandLine([...verify, '--signature', signature, backup])).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
  })

  test('sign asks the ssh-agent for what is encrypted, and says how when it has none', async () => {
    const encrypted = await makeKey(scratch.path, 'encrypted', keyKinds.ed25519, 'secret')
    expect(await runCommandLine(['sign', '-f', encrypted, backup], noAgent)).toEqual({
      status: 5,
      stdout: '',
      stderr: [
        `pbmanifest: error: could not sign with key "${encrypted}": it is encrypted, and there is no ssh-agent (SSH_AUTH_SOCK is not set)`,
        `pbmanifest: hint: An ssh-agent signs with it after: ssh-add "${encrypted}".`,
        '',
      ].join('\n'),
    })
    const agent = await startAgent(scratch.path)
    try {
      await agent.add(key)
      const env = { SSH_AUTH_SOCK: agent.socketPath }
      expect((await runCommandLine(['sign', '-f', `${key}.pub`, backup], env)).status).toBe(0)
    } finally {
      agent.stop()
    }
    expect((await runCommandLine(['verify', '-n', '--allowed-signers', signers, backup])).status).toBe(0)
  })

  test.each([
    [[], 'no key specified'],
    [['-f', 'KEY'], 'no backup directory or file specified'],
    [['-f', 'KEY', 'a', 'b'], 'too many command-line arguments (first is "b")'],
  ])('sign %j makes no sense', async (args, message) => {
    const operands = args.length === 0 ? [backup] : []
    const { status, stderr } = await runCommandLine(['sign', ...args, ...operands])
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(`error: ${message}\n`) })
  })

  test.each([
    [['-I', 'ops'], '--signer-identity is for use with --allowed-signers'],
    [['--signature', 's'], '--signature is for use with --allowed-signers'],
    [
      ['--chain', '--allowed-signers', 's', '--signature', 's', 'another'],
      'cannot specify both --chain and --signature',
    ],
  ])('verify %j makes no sense', async (args, message) => {
    const { status, stderr } = await runCommandLine(['verify', ...args, backup])
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(`error: ${message}\n`) })
  })

  test('a line of allowed signers that is not understood allows nobody, and is named when nobody else is allowed', async () => {
    await runCommandLine(['sign', '-f', key, backup])
    const bad = 'ops@example.com ssh-ed25519 \u001b[31mred\n'
    await writeFile(signers, `${bad}ops@example.com ${await readFile(`${key}.pub`, 'utf8')}`)
    expect((await runCommandLine(['verify', '-n', '--allowed-signers', signers, backup])).status).toBe(0)
    await writeFile(signers, bad)
    const args = ['verify', '-n', '--output=json', '--allowed-signers', signers, backup]
    const { status, stdout } = await runCommandLine(args)
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      problems: [
        {
          kind: 'signer-not-allowed',
          detail: expect.stringContaining('; line 1 is not understood: there is no key in it'),
        },
      ],
    })
  })

  test('what is signed for a hostile purpose is shown without its escapes', async () => {
    await writeFile(signers, `"\u001b[31mred" ${await readFile(`${key}.pub`, 'utf8')}`)
    await runCommandLine(['sign', '-f', key, backup])
    const { stdout } = await runCommandLine(['verify', '-n', '--allowed-signers', signers, backup])
    expect(stdout).toContain(String.raw`manifest signed by "\x1b[31mred"`)
  })

  async function keepReport(): Promise<string> {
    const { stdout } = await runCommandLine(['verify', '-n', '--output=json', backup])
    const path = join(scratch.path, 'report.json')
    await writeFile(path, stdout)
    expect((await runCommandLine(['sign', '-f', key, path])).stdout).toContain(`into "${path}.sig"\n`)
    return path
  }
  const check = async (path: string, ...more: readonly string[]) =>
    await runCommandLine(['verify', '--allowed-signers', signers, ...more, path])

  describe('with a report', () => {
    test('a signed report of a good backup is good', async () => {
      const path = await keepReport()
      expect(await check(path)).toEqual({
        status: 0,
        stdout: `report "${path}" is signed by "ops@example.com"; its verdict is "verified"\n`,
        stderr: '',
      })
      expect(await check(path, '-q')).toEqual({ status: 0, stdout: '', stderr: '' })
      const json: unknown = JSON.parse((await check(path, '--output=json')).stdout)
      expect(json).toMatchObject({
        verdict: 'verified',
        problems: [],
        signature: { signer: 'ops@example.com' },
      })
      expect(validatorOf('signed-report')(json)).toBeUndefined()
    })

    test('a signed report of a bad backup is no success', async () => {
      await rm(join(backup, 'PG_VERSION'))
      const path = await keepReport()
      expect(await check(path)).toEqual({
        status: 1,
        stdout: `report "${path}" is signed by "ops@example.com"; its verdict is "failed"\n`,
        stderr: '',
      })
    })

    test('a report that was changed, or is not signed, is a problem', async () => {
      await rm(join(backup, 'PG_VERSION'))
      const path = await keepReport()
      const text = await readFile(path, 'utf8')
      await writeFile(path, text.replace('"failed"', '"verified"'))
      expect(await check(path)).toEqual({
        status: 1,
        stdout: '',
        stderr: [
          `pbmanifest: error: signature "${path}.sig" is not valid`,
          'pbmanifest: detail: it is of other bytes, or by another key',
          'pbmanifest: verification of the report failed',
          '',
        ].join('\n'),
      })
      await rm(`${path}.sig`)
      const { status, stdout } = await check(path, '--output=json')
      const json: unknown = JSON.parse(stdout)
      expect({ status, json }).toMatchObject({
        status: 1,
        json: { verdict: 'failed', signature: null, problems: [{ kind: 'signature-missing' }] },
      })
      expect(validatorOf('signed-report')(json)).toBeUndefined()
    })

    test('the signature of a manifest is none of a report', async () => {
      const path = await keepReport()
      await runCommandLine(['sign', '-f', key, backup])
      expect((await check(path, '--signature', `${backup}.sig`)).stderr).toContain(
        'it is for namespace "backup_manifest@pbmanifest", not "report@pbmanifest"',
      )
    })

    test('what is no report is none, whoever signed it', async () => {
      const path = join(backup, 'PG_VERSION')
      expect(await check(path)).toMatchObject({
        status: 5,
        stderr: expect.stringContaining('is not a JSON report of pbmanifest'),
      })
    })
  })
})
