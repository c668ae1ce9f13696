import '../../helpers/servers-only.js'
import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { plainEnvironment, type ProgramResult } from '../../helpers/run-program.js'
import { mainFile } from '../../cli/pbmanifest.js'

/** A `pbmanifest backup` that runs. */
export interface RunningBackup {
  readonly process: ChildProcess
  /** Where it goes. */
  readonly directory: string
  /** Resolves at its end. */
  readonly result: Promise<ProgramResult & { readonly signal: NodeJS.Signals | null }>
}

export interface BackupProgramOptions {
  readonly directory: string
  /** Beside the target, the connection, a fast checkpoint, and no sync. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** A command that runs ours, such as `prlimit`. */
  readonly wrapper?: readonly string[]
}

/** Starts the built program, as a user would. */
export function startBackupProgram(cluster: Cluster, options: BackupProgramOptions): RunningBackup {
  const { directory, args = [], env = {}, wrapper = [] } = options
  const command = [
    ...wrapper,
    process.execPath,
    mainFile,
    'backup',
    `--pgdata=${directory}`,
    '--checkpoint=fast',
    '--no-sync',
    ...args,
  ]
  const child = spawn(command[0] ?? '', command.slice(1), {
    cwd: '/',
    env: { ...plainEnvironment(), FORCE_COLOR: '0', ...cluster.environment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    output.stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    output.stderr += chunk.toString()
  })
  const result = new Promise<ProgramResult & { signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => resolve({ status, signal, ...output }))
  })
  return { process: child, directory, result }
}

/** Runs it to its end. */
export async function runBackupProgram(
  cluster: Cluster,
  options: BackupProgramOptions,
): Promise<ProgramResult> {
  return await startBackupProgram(cluster, options).result
}

/** Waits until files have come, and fails when the program ends before. */
export async function untilCopying({ directory, result }: RunningBackup): Promise<void> {
  let ended: ProgramResult | undefined
  const watchEnd = async (): Promise<void> => {
    ended = await result
  }
  void watchEnd()
  await poll('the copying to begin', async () => {
    if (ended !== undefined) throw new Error(`the backup ended before: ${ended.stderr}`)
    const names = await readdir(join(directory, 'base')).catch(() => [])
    const files = await Promise.all(
      names.map((name) => readdir(join(directory, 'base', name)).catch(() => [])),
    )
    return files.flat().length > 0
  })
}

/** Waits until nothing of ours is left on the server: no connection, and so no backup mode, and no slot. */
export async function expectNothingLeft(cluster: Cluster): Promise<void> {
  await poll('the server to have nothing of ours any more', async () => {
    const [row] = await cluster.sql<{ left: number }>(
      `SELECT (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pbmanifest%')::int
            + (SELECT count(*) FROM pg_replication_slots WHERE temporary)::int AS left`,
    )
    return row?.left === 0
  })
}

/** The names of all that a directory holds, at any depth; `undefined` when there is no such directory. */
export async function listTree(directory: string): Promise<readonly string[] | undefined> {
  const names = await readdir(directory, { recursive: true }).catch(() => undefined)
  return names?.toSorted()
}

/** The manifest's lines about files, without their times, and without what differs from backup to backup. */
export async function manifestFileLines(directory: string): Promise<readonly string[]> {
  const text = await readFile(join(directory, 'backup_manifest'), 'utf8')
  return text
    .split('\n')
    .filter((line) => line.startsWith('{ "Path"') || line.startsWith('{ "Encoded-Path"'))
    .map((line) => line.replace(/"Last-Modified": "[^"]*"/, '').replace(/,$/, ''))
    .map((line) =>
      /"(?:backup_label|global\/pg_control)"/.test(line) ? line.replace(/"Checksum": .*/, '') : line,
    )
}
