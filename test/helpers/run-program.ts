import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type { UnprivilegedUser } from './unprivileged-user.js'

export interface ProgramResult {
  /** The exit status, or `null` when a signal ended the program. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Who runs it. Default: ourselves. */
  readonly user?: UnprivilegedUser | undefined
  /** Added to {@link plainEnvironment}. */
  readonly env?: Readonly<Record<string, string>>
  /** Default `/`, which everybody can enter. */
  readonly cwd?: string
  /** A file that it reads from its stdin. Default: nothing. */
  readonly input?: string
}

/** Runs a program to its end, whatever its exit status. */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<ProgramResult> {
  const { user, env = {}, cwd = '/', input } = options
  const stdin = input === undefined ? 'ignore' : openSync(input, 'r')
  const identity = user === undefined ? {} : { uid: user.uid, gid: user.gid }
  const child = spawn(file, args, {
    cwd,
    env: { ...plainEnvironment(), ...env },
    stdio: [stdin, 'pipe', 'pipe'],
    ...identity,
  }) as ChildProcessByStdio<null, Readable, Readable>
  if (stdin !== 'ignore') closeSync(stdin)
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => {
      resolve({ status, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() })
    })
  })
}

/** {@link runProgram} for what must succeed: any other status than 0 throws, with what the program said. */
export async function mustRun(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<ProgramResult> {
  const result = await runProgram(file, args, options)
  if (result.status !== 0) {
    const said = `${result.stdout}${result.stderr}`.trim()
    throw new Error(`${file} ${args.join(' ')}\nexited with status ${String(result.status)}\n${said}`)
  }
  return result
}

/** Copies a file or directory with all that is known of it. */
export async function copyTree(from: string, to: string): Promise<void> {
  await mustRun('cp', ['-a', ...reflink, from, to])
}

/** {@link copyTree} of what a server writes to: at any moment a new WAL segment, `xlogtemp.PID`, may get its own name. */
export async function copyLiveTree(from: string, to: string): Promise<void> {
  const { status, stderr } = await runProgram('cp', ['-a', from, to])
  const faults = stderr.split('\n').filter((line) => line !== '' && !/xlogtemp.*No such file/.test(line))
  if (faults.length > 0 || (status !== 0 && stderr === '')) throw new Error(`cp ${from}: ${stderr}`)
}

// GNU only.
const reflink = process.platform === 'linux' ? ['--reflink=auto'] : []

/** Our environment without what would steer PostgreSQL's programs elsewhere, in plain English and UTC. */
export function plainEnvironment(): Record<string, string> {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !/^(PG|LC_|LANG)/.test(name)) env[name] = value
  }
  return { ...env, LC_ALL: 'C', TZ: 'UTC' }
}
