import { readFileSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { signFile } from '../../src/signature/sign-file.js'
import { manifestNamespace, reportNamespace } from '../../src/signature/signature-place.js'
import { listAgentKeys, signByAgent } from '../../src/signature/ssh-agent.js'
import { emptyFile, formatManifest, versionFile, writeSmallBackup } from '../cli/small-backup.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { mountSmallDisk } from '../helpers/small-disk.js'
import {
  describeWithOpenSsh,
  keyKinds,
  makeKey,
  startAgent,
  type TestAgent,
  verifyBySshKeygen,
} from '../helpers/ssh-programs.js'

const identity = 'ops@example.com'
const report = '{ "reportVersion": 1, "pbmanifestVersion": "0.1.0", "verdict": "verified" }\n'

describeWithOpenSsh('what signFile signs', () => {
  let scratch: ScratchDirectory
  let key: string
  let backup: string

  beforeEach(async () => {
    scratch = createScratchDirectory()
    key = await makeKey(scratch.path, 'key')
    backup = await writeSmallBackup(scratch.path)
  })
  afterEach(() => scratch.remove())

  /** By the real one; who may sign is who has this key. */
  async function acceptsSshKeygen(file: string, signature: string, namespace: string, by = key) {
    const signers = join(scratch.path, 'allowed_signers')
    await writeFile(signers, `${identity} namespaces="*@pbmanifest" ${await readFile(`${by}.pub`, 'utf8')}`)
    const { status, stdout } = await verifyBySshKeygen(file, { signature, signers, identity, namespace })
    return status === 0 && stdout.startsWith(`Good "${namespace}" signature for ${identity}`)
  }

  test('is the manifest of a backup, with the signature beside the directory', async () => {
    const result = await signFile(`${backup}/`, { key })
    const { stdout } = await mustRun('ssh-keygen', ['-l', '-f', `${key}.pub`])
    expect(result).toEqual({
      path: `${backup}//backup_manifest`,
      signaturePath: `${backup}.sig`,
      namespace: manifestNamespace,
      keyType: 'ssh-ed25519',
      fingerprint: stdout.split(' ')[1],
    })
    expect(await acceptsSshKeygen(result.path, `${backup}.sig`, manifestNamespace)).toBe(true)
    expect(await readdir(backup)).not.toContain('backup_manifest.sig')
  })

  test('is the same as what ssh-keygen signs, to the byte', async () => {
    const { path, signaturePath } = await signFile(backup, { key })
    await mustRun('ssh-keygen', ['-Y', 'sign', '-q', '-f', key, '-n', manifestNamespace, path])
    expect(readFileSync(signaturePath, 'latin1')).toBe(readFileSync(`${path}.sig`, 'latin1'))
  })

  test('is, of a backup that is reached by a link, beside the backup', async () => {
    await symlink('backup', join(scratch.path, 'latest'))
    const { signaturePath } = await signFile(join(scratch.path, 'latest'), { key })
    expect(signaturePath).toBe(`${backup}.sig`)
  })

  test('is a manifest elsewhere, or a report, with the signature beside it', async () => {
    const manifest = join(scratch.path, 'monday.manifest')
    await rename(join(backup, 'backup_manifest'), manifest)
    await signFile(manifest, { key })
    expect(await acceptsSshKeygen(manifest, `${manifest}.sig`, manifestNamespace)).toBe(true)
    const kept = join(scratch.path, 'report.json')
    await writeFile(kept, report)
    expect((await signFile(kept, { key })).namespace).toBe(reportNamespace)
    expect(await acceptsSshKeygen(kept, `${kept}.sig`, reportNamespace)).toBe(true)
    expect(await acceptsSshKeygen(kept, `${kept}.sig`, manifestNamespace)).toBe(false)
  })

  test('is signed anew over an older signature, and over nothing else', async () => {
    await writeFile(`${backup}.sig`, '-----BEGIN SSH SIGNATURE-----\nold')
    await signFile(backup, { key })
    expect(await acceptsSshKeygen(`${backup}/backup_manifest`, `${backup}.sig`, manifestNamespace)).toBe(true)
    await writeFile(`${backup}.sig`, 'a letter to my aunt')
    await expect(signFile(backup, { key })).rejects.toMatchObject({
      code: 'IO',
      message: `could not write file "${backup}.sig": it exists and is not a signature`,
    })
    expect(readFileSync(`${backup}.sig`, 'utf8')).toBe('a letter to my aunt')
  })

  describe('by an agent', () => {
    let agent: TestAgent

    beforeEach(async () => {
      agent = await startAgent(scratch.path)
    })
    afterEach(() => agent.stop())

    test.each(Object.entries(keyKinds))('with a key of kind %s is good', async (_, args) => {
      const other = await makeKey(scratch.path, 'other', args)
      await agent.add(key)
      await agent.add(other)
      for (const name of [`${other}.pub`, ...(args === keyKinds.ed25519 ? [] : [other])]) {
        const { path, signaturePath } = await signFile(backup, { key: name, agentSocket: agent.socketPath })
        expect(await acceptsSshKeygen(path, signaturePath, manifestNamespace, other)).toBe(true)
      }
    })

    test('with an encrypted key is good when the agent has it', async () => {
      const plain = readFileSync(key)
      await agent.add(key)
      await mustRun('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'secret', '-f', key])
      expect(readFileSync(key).equals(plain)).toBe(false)
      const options = { key, agentSocket: agent.socketPath }
      const { path, signaturePath } = await signFile(backup, options)
      expect(await acceptsSshKeygen(path, signaturePath, manifestNamespace)).toBe(true)
    })

    test('with a key that the agent does not have is an error', async () => {
      await expect(
        signFile(backup, { key: `${key}.pub`, agentSocket: agent.socketPath }),
      ).rejects.toMatchObject({
        code: 'IO',
        message: expect.stringMatching(
          /^could not sign with key ".*key\.pub": it is a public key, and the ssh-agent does not have ED25519 key SHA256:/,
        ),
        hint: `An ssh-agent signs with it after: ssh-add "${key}".`,
      })
    })

    test('that is locked is an error', async () => {
      await agent.add(key)
      const options = { socketPath: agent.socketPath }
      const [blob = Buffer.alloc(0)] = await listAgentKeys(options)
      await mustRun('ssh-add', ['-q', '-D'], { env: { SSH_AUTH_SOCK: agent.socketPath } })
      await expect(signByAgent(blob, Buffer.from('data'), options)).rejects.toMatchObject({
        code: 'IO',
        message: `the ssh-agent at "${agent.socketPath}" refused to sign`,
      })
    })
  })

  test.each([
    {
      name: 'an encrypted key without an agent',
      make: async () => await makeKey(scratch.path, 'other', keyKinds.ed25519, 'secret'),
      message: /: it is encrypted, and there is no ssh-agent \(SSH_AUTH_SOCK is not set\)$/,
    },
    {
      name: 'an RSA key without an agent',
      make: async () => await makeKey(scratch.path, 'other', keyKinds.rsa),
      message: /: it is not an Ed25519 key, and there is no ssh-agent/,
    },
    {
      name: 'an agent that is not there',
      make: () => `${key}.pub`,
      agentSocket: '/nonexistent/agent',
      message: /^could not ask the ssh-agent at "\/nonexistent\/agent": No such file or directory$/,
    },
    {
      name: 'a key that others may read',
      make: async () => {
        await chmod(key, 0o644)
        return key
      },
      message: /^permissions 0644 of private key ".*" are too open$/,
    },
    {
      name: 'no key at all',
      make: () => `${key}.nowhere`,
      message: /^could not open file ".*": No such file or directory$/,
    },
    { name: 'a directory', make: () => scratch.path, message: /it is not a regular file$/ },
    {
      name: 'a FIFO',
      make: async () => {
        await mustRun('mkfifo', [`${key}.fifo`])
        return `${key}.fifo`
      },
      message: /it is not a regular file$/,
    },
    {
      name: 'a huge file',
      make: async () => {
        await mustRun('truncate', ['-s', '8G', `${key}.huge`])
        return `${key}.huge`
      },
      message: /is no key that can sign: it has 8589934592 bytes$/,
    },
    {
      name: 'a key of another format',
      make: async () => {
        await makeKey(scratch.path, 'other', [...keyKinds.rsa, '-m', 'PEM'])
        return join(scratch.path, 'other')
      },
      message: /is no key that can sign: it is not in the format of OpenSSH$/,
    },
    {
      name: 'a damaged key',
      make: async () => {
        const lines = (await readFile(key, 'latin1')).split('\n')
        const line = lines[3] ?? ''
        await writeFile(key, lines.with(3, `${line.slice(0, 40)}AAAA${line.slice(44)}`).join('\n'))
        return key
      },
      message: /is no key that can sign: /,
    },
    {
      name: 'a file that is no key',
      make: () => join(backup, 'backup_manifest'),
      message: /is no key that can sign: it is neither a private nor a public key$/,
    },
    {
      name: 'a weak key',
      make: async () => `${await makeKey(scratch.path, 'weak', ['-t', 'rsa', '-b', '1024'])}.pub`,
      message: /is no key that can sign: RSA keys of less than 2048 bits are not supported$/,
    },
  ])('is nothing with $name', async ({ make, message, agentSocket }) => {
    const options = { key: await make(), ...(agentSocket !== undefined && { agentSocket }) }
    await expect(signFile(backup, options)).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:IO|BAD_FILE)$/),
      message: expect.stringMatching(message),
    })
    expect(await readdir(scratch.path)).not.toContain('backup.sig')
  })

  test.each([
    {
      name: 'a manifest whose own checksum is wrong',
      make: async (path: string) => {
        const text = formatManifest([versionFile, emptyFile])
        await writeFile(path, text.replace('"Size": 3', '"Size": 4'))
      },
      expected: { code: 'BAD_MANIFEST', message: expect.stringContaining('manifest checksum mismatch') },
    },
    {
      name: 'a manifest that is cut',
      make: async (path: string) => {
        await writeFile(path, formatManifest([versionFile, emptyFile]).slice(0, -80))
      },
      expected: { code: 'BAD_MANIFEST' },
    },
    {
      name: 'what is neither a manifest nor a report',
      make: async (path: string) => await writeFile(path, '{"verdict":"verified"}'),
      expected: {
        code: 'BAD_FILE',
        message: expect.stringContaining('is neither a backup manifest nor a JSON report of pbmanifest'),
      },
    },
    {
      name: 'an empty file',
      make: async (path: string) => await writeFile(path, ''),
      expected: { code: 'BAD_FILE' },
    },
    {
      name: 'a huge file',
      make: async (path: string) => {
        await mustRun('truncate', ['-s', '8G', path])
      },
      expected: { code: 'IO', message: expect.stringContaining('it has 8589934592 bytes, more than') },
    },
    {
      name: 'a FIFO',
      make: async (path: string) => {
        await mustRun('mkfifo', [path])
      },
      expected: { code: 'IO', message: expect.stringContaining('it is not a regular file') },
    },
    {
      name: 'a directory that is no backup',
      make: async (path: string) => {
        await mkdir(path)
      },
      expected: {
        code: 'IO',
        message: expect.stringMatching(/backup_manifest": No such file or directory$/),
      },
    },
    {
      name: 'what is not there',
      make: () => Promise.resolve(),
      expected: { code: 'IO', message: expect.stringMatching(/^could not open file ".*": No such file/) },
    },
  ])('is not $name', async ({ make, expected }) => {
    const path = join(scratch.path, 'thing')
    await make(path)
    await expect(signFile(path, { key })).rejects.toMatchObject(expected)
    expect(await readdir(scratch.path)).not.toContain('thing.sig')
  })

  test('is not left half when the disk is full', async (context) => {
    const disk = join(scratch.path, 'disk')
    const unmount = mountSmallDisk(disk, 'size=64k')
    if (unmount === undefined) {
      process.stderr.write('\nSKIPPED "a signature on a full disk": we may not mount a tmpfs\n\n')
      context.skip()
      return
    }
    try {
      const signaturePath = join(disk, 'backup.sig')
      await signFile(backup, { key, signaturePath })
      const before = readFileSync(signaturePath, 'latin1')
      await expect(writeFile(join(disk, 'fill'), Buffer.alloc(128 * 1024))).rejects.toThrow('ENOSPC')
      await expect(signFile(backup, { key, signaturePath })).rejects.toMatchObject({
        code: 'IO',
        message: expect.stringContaining('No space left on device'),
      })
      expect(readFileSync(signaturePath, 'latin1')).toBe(before)
      expect(await readdir(disk)).toEqual(['backup.sig', 'fill'])
    } finally {
      unmount()
    }
  })

  test('is nothing when the signal has fired', async () => {
    const signal = AbortSignal.abort()
    await expect(signFile(backup, { key, signal })).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('an agent that', () => {
  let scratch: ScratchDirectory
  let server: Server | undefined

  beforeEach(() => {
    scratch = createScratchDirectory()
  })
  afterEach(async () => {
    await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)))
    server = undefined
    scratch.remove()
  })

  /** Answers every question with these bytes, or hangs up, or says nothing. */
  async function agentThatSays(answer: Buffer | 'nothing' | 'goodbye'): Promise<string> {
    const socketPath = join(scratch.path, 'agent')
    server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        if (answer === 'goodbye') socket.end()
        else if (answer !== 'nothing') socket.write(answer)
      })
    })
    await new Promise<void>((resolve) => server?.listen(socketPath, resolve))
    return socketPath
  }

  test.each([
    ['hangs up', 'goodbye' as const, 'hung up without an answer'],
    ['does not answer', 'nothing' as const, 'does not answer'],
    ['refuses', Buffer.of(0, 0, 0, 1, 5), 'refused to list its keys'],
    ['answers with nothing', Buffer.of(0, 0, 0, 0), 'refused to list its keys'],
    ['answers without end', Buffer.of(0xff, 0xff, 0xff, 0xff), 'gave an answer of 4294967295 bytes'],
    ['is cut', Buffer.of(0, 0, 0, 6, 12, 0, 0, 0, 1, 0), 'gave an answer that is none: the answer is cut'],
    [
      'has too many keys',
      Buffer.of(0, 0, 0, 5, 12, 0xff, 0xff, 0xff, 0xff),
      'gave an answer that is none: it says that it has 4294967295 keys',
    ],
    [
      'says more than it should',
      Buffer.of(0, 0, 0, 6, 12, 0, 0, 0, 0, 1),
      'gave an answer that is none: there is more behind the answer',
    ],
  ])('%s is an error', async (_, answer, reason) => {
    const socketPath = await agentThatSays(answer)
    await expect(listAgentKeys({ socketPath, patience: 200 })).rejects.toMatchObject({
      code: 'IO',
      message: `the ssh-agent at "${socketPath}" ${reason}`,
    })
  })

  test('does not answer is no longer waited for when the signal fires', async () => {
    const socketPath = await agentThatSays('nothing')
    const controller = new AbortController()
    const listing = listAgentKeys({ socketPath, signal: controller.signal })
    server?.once('connection', () => controller.abort())
    await expect(listing).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
