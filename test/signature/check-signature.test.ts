import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { manifestNamespace } from '../../src/signature/signature-place.js'
import { formatSshSignature, parseSshSignature } from '../../src/signature/sshsig.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import {
  describeWithOpenSsh,
  keyKinds,
  makeKey,
  signBySshKeygen,
  verifyBySshKeygen,
} from '../helpers/ssh-programs.js'
import { checkFile } from './check-file.js'

const identity = 'ops@example.com'
const namespace = manifestNamespace

function words(bytes: Buffer): string {
  return bytes.toString('latin1').replaceAll(/\s+/g, '')
}

const problemsOfBytes = ['signature-invalid', 'signer-not-allowed']

/** A time without a zone is in that of the machine. */
const localTime = new Date(2020, 0, 1, 2, 3).toISOString().replace('.000', '')

describeWithOpenSsh('a signature by ssh-keygen', () => {
  let scratch: ScratchDirectory
  let file: string
  let signers: string
  const keys = new Map<string, string>()

  beforeAll(async () => {
    scratch = createScratchDirectory()
    file = join(scratch.path, 'backup_manifest')
    signers = join(scratch.path, 'allowed_signers')
    for (const [kind, args] of Object.entries(keyKinds)) {
      keys.set(kind, await makeKey(scratch.path, kind, args))
    }
    keys.set('another', await makeKey(scratch.path, 'another'))
  })
  afterAll(() => scratch.remove())

  const keyOf = (kind: string): string => keys.get(kind) ?? ''
  const publicKeyOf = (kind: string): string => readFileSync(`${keyOf(kind)}.pub`, 'utf8').trim()
  const allow = async (kind: string, options = ''): Promise<void> =>
    await writeFile(signers, `# who may sign\n\n${identity} ${options} ${publicKeyOf(kind)}\n`)

  beforeEach(async () => {
    await writeFile(file, 'what is signed\n')
    await allow('ed25519')
  })

  /** What we say, and what ssh-keygen says: that is never anything else. */
  async function judge(demand: { readonly signerIdentity?: string; readonly namespace?: string } = {}) {
    const result = checkFile(file, demand.namespace ?? namespace, { allowedSigners: signers, ...demand })
    const oracle = await verifyBySshKeygen(file, {
      signature: `${file}.sig`,
      signers,
      identity: demand.signerIdentity ?? identity,
      namespace: demand.namespace ?? namespace,
    })
    expect({ isGood: result.signature !== null }).toEqual({ isGood: oracle.status === 0 })
    return result
  }

  test.each([
    ...Object.keys(keyKinds).map((kind) => ({ kind, options: ['-O', 'hashalg=sha512'] })),
    { kind: 'ed25519', options: ['-O', 'hashalg=sha256'] },
    { kind: 'rsa', options: ['-O', 'hashalg=sha256'] },
  ])('is good with a key of kind $kind and $options', async ({ kind, options }) => {
    await allow(kind)
    await signBySshKeygen(keyOf(kind), namespace, file, ...options)
    const { stdout } = await mustRun('ssh-keygen', ['-l', '-f', `${keyOf(kind)}.pub`])
    expect(await judge({ signerIdentity: identity })).toEqual({
      signature: {
        path: `${file}.sig`,
        signer: identity,
        keyType: publicKeyOf(kind).split(' ')[0],
        fingerprint: stdout.split(' ')[1],
        namespace,
      },
    })
  })

  // A key and a signature of these have numbers of varying length, with and without a zero before them.
  test.each(['ecdsa256', 'ecdsa521', 'rsa'])('of kind %s is good each of many times', async (kind) => {
    await allow(kind)
    for (let time = 0; time < 20; time++) {
      await signBySshKeygen(keyOf(kind), namespace, file)
      expect(checkFile(file, namespace, { allowedSigners: signers }).problem).toBeUndefined()
    }
  })

  test.each([
    {
      name: 'of other bytes',
      change: async () => await writeFile(file, 'what is signeD\n'),
      problem: { kind: 'signature-invalid', detail: 'it is of other bytes, or by another key' },
    },
    {
      name: 'with a byte of it changed',
      change: async () => {
        const lines = (await readFile(`${file}.sig`, 'latin1')).split('\n')
        const line = lines.at(-3) ?? ''
        const other = line.startsWith('A') ? 'B' : 'A'
        await writeFile(`${file}.sig`, lines.join('\n').replace(line, `${other}${line.slice(1)}`))
      },
      problem: { kind: 'signature-invalid' },
    },
    {
      name: 'that is cut',
      change: async () => {
        const text = await readFile(`${file}.sig`, 'latin1')
        const half = text.slice(0, text.lastIndexOf('\n-----END') - 72)
        await writeFile(`${file}.sig`, `${half}\n-----END SSH SIGNATURE-----\n`)
      },
      problem: { kind: 'signature-invalid' },
    },
    {
      name: 'that is none',
      change: async () => await writeFile(`${file}.sig`, '\u0000\u001b[31m'),
      problem: {
        kind: 'signature-invalid',
        detail: 'it does not begin with "-----BEGIN SSH SIGNATURE-----"',
      },
    },
    {
      name: 'that is not there',
      change: async () => await rm(`${file}.sig`),
      problem: { kind: 'signature-missing', message: 'the file is not signed' },
    },
    {
      name: 'that is a directory',
      change: async () => {
        await rm(`${file}.sig`)
        await mkdir(`${file}.sig`)
      },
      problem: { kind: 'signature-invalid', detail: expect.stringContaining('is not a regular file') },
    },
    {
      name: 'that is a FIFO',
      change: async () => {
        await rm(`${file}.sig`)
        await mustRun('mkfifo', [`${file}.sig`])
      },
      // ssh-keygen waits for a writer.
      hasNoOracle: true,
      problem: { kind: 'signature-invalid', detail: expect.stringContaining('is not a regular file') },
    },
    {
      name: 'that is huge',
      change: async () => await mustRun('truncate', ['-s', '8G', `${file}.sig`]),
      hasNoOracle: true,
      problem: { kind: 'signature-invalid', detail: expect.stringContaining('more than 65536') },
    },
    {
      name: 'for another namespace',
      change: async () => await signBySshKeygen(keyOf('ed25519'), 'file', file),
      problem: {
        kind: 'signature-invalid',
        detail: 'it is for namespace "file", not "backup_manifest@pbmanifest"',
      },
    },
    {
      name: 'by another key',
      change: async () => await signBySshKeygen(keyOf('another'), namespace, file),
      problem: {
        kind: 'signer-not-allowed',
        message: expect.stringMatching(/^signature ".*" is by nobody who is allowed to sign$/),
        detail: expect.stringMatching(/^by ".*", key SHA256:\S+ is not in the file$/),
        signaturePath: expect.stringMatching(/\.sig$/),
        keyType: 'ssh-ed25519',
        fingerprint: expect.stringMatching(/^SHA256:\S{43}$/),
      },
    },
  ])('$name is a problem', async ({ change, problem, hasNoOracle }) => {
    await signBySshKeygen(keyOf('ed25519'), namespace, file)
    expect((await judge()).problem).toBeUndefined()
    await change()
    const result =
      hasNoOracle === true ? checkFile(file, namespace, { allowedSigners: signers }) : await judge()
    expect(result.problem).toMatchObject(problem)
    await rm(`${file}.sig`, { recursive: true, force: true })
  })

  test.each(['ed25519', 'ecdsa256', 'rsa'])('of kind %s is good with no byte of it changed', async (kind) => {
    await allow(kind)
    await signBySshKeygen(keyOf(kind), namespace, file)
    const intact = readFileSync(`${file}.sig`)
    for (const [at, byte] of intact.entries()) {
      const changed = Buffer.from(intact)
      changed[at] = byte ^ (1 << (at % 8))
      writeFileSync(`${file}.sig`, changed)
      const { problem } = checkFile(file, namespace, { allowedSigners: signers })
      // A blank more, or less, is no other signature.
      const expected = words(changed) === words(intact) ? [undefined, 'signature-invalid'] : problemsOfBytes
      expect(expected).toContain(problem?.kind)
    }
  })

  test('by a key that signs keys is a problem, and so is one by a certificate', async () => {
    await allow('another', 'cert-authority')
    await signBySshKeygen(keyOf('another'), namespace, file)
    expect((await judge()).problem).toMatchObject({
      kind: 'signer-not-allowed',
      detail: expect.stringContaining('the key is a cert-authority, which is not supported (line 3)'),
    })
    await signBySshKeygen(keyOf('ed25519'), namespace, file)
    expect((await judge()).problem).toMatchObject({
      kind: 'signer-not-allowed',
      detail: expect.stringContaining('(line 3 is a cert-authority, which is not supported)'),
    })
    const certificate = `${keyOf('ed25519')}-cert.pub`
    const signing = ['-q', '-s', keyOf('another'), '-I', 'id', '-n', identity, `${keyOf('ed25519')}.pub`]
    await mustRun('ssh-keygen', signing)
    const [, base64 = ''] = readFileSync(certificate, 'latin1').split(' ')
    await rm(certificate)
    const signature = parseSshSignature(readFileSync(`${file}.sig`))
    const certified = { ...signature, publicKey: Buffer.from(base64, 'base64') }
    await writeFile(`${file}.sig`, formatSshSignature(certified))
    expect(checkFile(file, namespace, { allowedSigners: signers }).problem).toMatchObject({
      kind: 'signature-invalid',
      detail: 'certificates are not supported',
    })
  })

  describe('with the allowed signer', () => {
    beforeEach(async () => {
      await signBySshKeygen(keyOf('ed25519'), namespace, file)
    })

    test.each([
      ['', 'good'],
      ['namespaces="backup_manifest@pbmanifest"', 'good'],
      ['namespaces="file,*@pbmanifest"', 'good'],
      ['namespaces="backup_manifes?@*"', 'good'],
      ['namespaces="*,!backup_manifest@*"', 'the key may not sign for namespace'],
      ['namespaces="file"', 'the key may not sign for namespace'],
      ['NameSpaces="*",valid-before="29990101"', 'good'],
      ['valid-before="20200101Z"', 'the key is not valid after 2020-01-01T00:00:00Z (line 3)'],
      ['valid-before="202001010203"', `the key is not valid after ${localTime}`],
      ['valid-after="20990101000000Z"', 'the key is not valid before 2099-01-01T00:00:00Z'],
      ['valid-after="19990228",valid-before="29991231235959"', 'good'],
    ])('of options %s', async (options, expected) => {
      await allow('ed25519', options)
      const { problem } = await judge()
      expect(problem?.kind ?? 'good').toBe(expected === 'good' ? 'good' : 'signer-not-allowed')
      expect(problem?.detail ?? 'good').toContain(expected)
    })

    test.each([
      ['ops@example.com', true],
      ['*@example.com', true],
      ['"ops@example.com,dba@example.com"', true],
      ['dba@example.com,ops@*', true],
      ['*,!ops@example.com', false],
      ['Ops@example.com', false],
      ['ops@example.co', false],
      ['o?s@example.com', true],
      ['*o*@*e*.*m*', true],
      ['*z*', false],
    ])('of principals %s is the one of this identity: %s', async (principals, isGood) => {
      await writeFile(signers, `${principals} ${publicKeyOf('ed25519')} a comment\r\n`)
      const { signature, problem } = await judge({ signerIdentity: identity })
      expect(signature !== null).toBe(isGood)
      expect(problem?.detail ?? '').toContain(isGood ? '' : 'it is not a key of "ops@example.com" (line 1)')
    })

    test('of another line, the first that allows it counts', async () => {
      const key = publicKeyOf('ed25519')
      const line = (who: string, options: string): string => `${who} ${options} ${key}\n`
      await writeFile(signers, line('old', 'valid-before="20200101"') + line('new', '') + line('newest', ''))
      const result = checkFile(file, namespace, { allowedSigners: signers })
      expect(result.signature?.signer).toBe('new')
    })

    test.each([
      ['x', 'there is no key in it'],
      ['ops ssh-ed25519', 'there is no key in it'],
      ['ops ssh-ed25519 AAAA', 'there is no key in it'],
      ['"ops ssh-ed25519 AAAA', 'its quotation mark has no end'],
      ['o"ps KEY', 'its quotation mark has no end'],
      ['ops colour="red" KEY', 'its option "colour" is not understood'],
      ['ops namespaces KEY', 'its option "namespaces" is not understood'],
      ['ops namespaces=file KEY', 'its option "namespaces" is not understood'],
      ['ops cert-authority="yes" KEY', 'its option "cert-authority" is not understood'],
      ['ops namespaces="a",namespaces="b" KEY', 'its option "namespaces" is there twice'],
      ['ops namespaces="a", KEY', 'its options are not understood'],
      ['ops namespaces="a"b KEY', 'what follows its option "namespaces" is not understood'],
      ['ops valid-after="2026" KEY', 'the time of its option "valid-after" is none'],
      ['ops valid-after="20260230" KEY', 'the time of its option "valid-after" is none'],
      ['ops valid-after="19700101Z" KEY', 'the time of its option "valid-after" is none'],
      ['ops valid-after="00990101" KEY', 'the time of its option "valid-after" is none'],
      ['ops valid-after="20260102",valid-before="20260101" KEY', 'it ends to be valid before it begins'],
      ['o\0ps KEY', 'there is a byte of zero in it'],
    ])('a line that is not understood allows nobody: %s', async (line, reason) => {
      const bad = `# first\n${line.replace('KEY', publicKeyOf('ed25519'))}\n`
      await writeFile(signers, bad)
      const { problem } = checkFile(file, namespace, { allowedSigners: signers })
      expect(problem?.detail).toContain(` is not in the file; line 2 is not understood: ${reason}`)
      await writeFile(signers, `${bad}ops ${publicKeyOf('ed25519')}\n`)
      expect(checkFile(file, namespace, { allowedSigners: signers }).signature?.signer).toBe('ops')
    })

    test('a line with a key of a kind that is not supported is passed over', async () => {
      const type = 'sk-ssh-ed25519@openssh.com'
      const blob = Buffer.concat([Buffer.of(0, 0, 0, type.length), Buffer.from(type), Buffer.alloc(40)])
      const line = `ops ${type} ${blob.toString('base64')}`
      await writeFile(signers, `${line}\n${identity} ${publicKeyOf('ed25519')}\n`)
      expect(checkFile(file, namespace, { allowedSigners: signers }).signature?.signer).toBe(identity)
    })

    test('nobody is allowed by an empty file', async () => {
      await writeFile(signers, '')
      expect((await judge()).problem?.kind).toBe('signer-not-allowed')
    })

    test('without a file of allowed signers there is an error', async () => {
      await rm(signers)
      expect(() => checkFile(file, namespace, { allowedSigners: signers })).toThrow(
        `could not open file "${signers}": No such file or directory`,
      )
    })
  })
})
