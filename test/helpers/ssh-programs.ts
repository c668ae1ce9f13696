import './servers-only.js'
import { spawn } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { atExit } from './at-exit.js'
import { describeWithProgram } from './describe-with-program.js'
import { mustRun, type ProgramResult, runProgram } from './run-program.js'

/** `describe` for tests that need OpenSSH's programs. Without them they are skipped, loudly; under `CI` the file fails. */
export function describeWithOpenSsh(name: string, tests: () => void): void {
  describeWithProgram('ssh-keygen', 'openssh-client', name, tests)
}

type KeyKind = 'ed25519' | 'ecdsa256' | 'ecdsa384' | 'ecdsa521' | 'rsa'

/** Kinds of keys by their name here, as arguments of `ssh-keygen`. */
export const keyKinds: Readonly<Record<KeyKind, readonly string[]>> = {
  ed25519: ['-t', 'ed25519'],
  ecdsa256: ['-t', 'ecdsa', '-b', '256'],
  ecdsa384: ['-t', 'ecdsa', '-b', '384'],
  ecdsa521: ['-t', 'ecdsa', '-b', '521'],
  rsa: ['-t', 'rsa', '-b', '2048'],
}

/** Makes a key; its public half is beside it, in `.pub`. */
export async function makeKey(
  directory: string,
  name: string,
  args: readonly string[] = keyKinds.ed25519,
  passphrase = '',
): Promise<string> {
  const path = join(directory, name)
  await mustRun('ssh-keygen', ['-q', ...args, '-N', passphrase, '-C', `${name}@test`, '-f', path])
  return path
}

/** Signs as `ssh-keygen -Y sign` does; the signature is in `.sig`. */
export async function signBySshKeygen(
  key: string,
  namespace: string,
  file: string,
  ...more: readonly string[]
): Promise<string> {
  await mustRun('bash', ['-c', 'rm -f -- "$0.sig"', file])
  await mustRun('ssh-keygen', ['-Y', 'sign', '-q', '-f', key, '-n', namespace, ...more, file])
  return `${file}.sig`
}

/** What `ssh-keygen -Y verify` says of a signature. */
export async function verifyBySshKeygen(
  file: string,
  {
    signature,
    signers,
    identity,
    namespace,
  }: {
    readonly signature: string
    readonly signers: string
    readonly identity: string
    readonly namespace: string
  },
): Promise<ProgramResult> {
  const script = 'ssh-keygen -Y verify -f "$1" -I "$2" -n "$3" -s "$4" < "$0"'
  return await runProgram('bash', ['-c', script, file, signers, identity, namespace, signature])
}

/** A real `ssh-agent`, on a socket in this directory. */
export interface TestAgent {
  readonly socketPath: string
  add(key: string): Promise<void>
  stop(): void
}

export async function startAgent(directory: string): Promise<TestAgent> {
  const socketPath = join(directory, 'agent')
  const child = spawn('ssh-agent', ['-D', '-a', socketPath], { stdio: ['ignore', 'pipe', 'inherit'] })
  const forget = atExit(() => child.kill())
  const [line] = await new Promise<string[]>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => reject(new Error('ssh-agent has ended')))
    createInterface(child.stdout).once('line', (line) => resolve([line]))
  })
  if (line?.includes('SSH_AUTH_SOCK') !== true) throw new Error(`ssh-agent says ${String(line)}`)
  return {
    socketPath,
    add: async (key) => {
      chmodSync(key, 0o600)
      await mustRun('ssh-add', ['-q', key], { env: { SSH_AUTH_SOCK: socketPath } })
    },
    stop: () => {
      child.kill()
      forget()
    },
  }
}
