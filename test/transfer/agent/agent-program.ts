import '../../helpers/servers-only.js'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { Client, type ClientConfig } from 'pg'
import { validatorOf } from '../../../src/schemas/validator.js'
import type { Cluster } from '../../helpers/cluster.js'
import { atExit } from '../../helpers/at-exit.js'
import { poll } from '../../helpers/poll.js'
import { debianPostgres } from '../../helpers/postgres-programs.js'
import { plainEnvironment, type ProgramResult, runProgram } from '../../helpers/run-program.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'
import { mainFile } from '../../cli/pbmanifest.js'

/** One line of the agent's log. */
export interface LogLine {
  readonly level: string
  readonly event: string
  readonly [name: string]: unknown
}

/** What an agent needs of a cluster. */
export type ServedCluster = Pick<Cluster, 'dataDirectory' | 'socketDirectory' | 'port'>

/** How a process ended. */
export interface AgentEnd {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
}

/** A `pbmanifest serve` that runs, on a Unix socket. It ends with our process at the latest. */
export class AgentProgram {
  readonly process: ChildProcess
  /** Where the socket is: what `PGHOST` takes. */
  readonly socketDirectory: string
  readonly port = 5433
  readonly #temporaryDirectory: string
  #stderr = ''
  /** So many lines of it. */
  #validated = 0
  readonly end: Promise<AgentEnd>

  private constructor(args: readonly string[], directory: string, env: Readonly<Record<string, string>>) {
    this.socketDirectory = directory
    this.#temporaryDirectory = join(directory, 'tmp')
    mkdirSync(this.#temporaryDirectory, { recursive: true })
    this.process = spawn(process.execPath, [mainFile, 'serve', `--socket-dir=${directory}`, ...args], {
      cwd: '/',
      env: { ...plainEnvironment(), FORCE_COLOR: '0', TMPDIR: this.#temporaryDirectory, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const forget = atExit(() => this.process.kill('SIGKILL'))
    this.process.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString()
    })
    this.end = new Promise((resolve, reject) => {
      this.process.on('error', reject)
      this.process.on('close', (status, signal) => {
        forget()
        resolve({ status, signal })
      })
    })
  }

  /** Starts one for a cluster, and waits until it listens. */
  static async start(
    cluster: ServedCluster,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<AgentProgram> {
    const server = `host=${cluster.socketDirectory} port=${cluster.port} user=postgres dbname=postgres`
    const common = [`--pgdata=${cluster.dataDirectory}`, `--server=${server}`]
    const agent = new AgentProgram([...common, ...args], createScratchDirectory().path, env)
    const ended = agent.end.then(({ status }) => {
      throw new Error(`the agent ended with status ${String(status)}: ${agent.#stderr}`)
    })
    await Promise.race([agent.untilLogged('listening'), ended])
    ended.catch(() => {})
    return agent
  }

  /** All that it has written to standard error. */
  get stderr(): string {
    return this.#stderr
  }

  /** The lines of the log, so far. */
  log(): LogLine[] {
    const lines = this.#stderr.split('\n').slice(0, -1)
    const log = lines.map((line) => JSON.parse(line) as LogLine)
    for (; this.#validated < log.length; this.#validated++) {
      const mismatch = validatorOf('agent-log')(log[this.#validated])
      if (mismatch !== undefined) throw new Error(`not by its schema: ${lines[this.#validated]}: ${mismatch}`)
    }
    return log
  }

  /** Waits for a line of the log. */
  async untilLogged(event: string, matches: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return await poll(`the agent to log "${event}"`, async () =>
      Promise.resolve(this.log().find((line) => line.event === event && matches(line))),
    )
  }

  /** The names of all fragments and merged manifests that are there. */
  fragments(): string[] {
    return readdirSync(this.#temporaryDirectory, { recursive: true })
      .map(String)
      .filter((name) => name.includes('backup_manifest_'))
  }

  /** As if nobody had used them for long. */
  removeTemporaryFiles(): void {
    for (const name of readdirSync(this.#temporaryDirectory)) {
      rmSync(join(this.#temporaryDirectory, name), { recursive: true })
    }
  }

  /** In place of the directory for fragments, there is now a link to another one, as another user could make it in /tmp. */
  replaceTemporaryFiles(target: string): void {
    const [name = ''] = readdirSync(this.#temporaryDirectory)
    this.removeTemporaryFiles()
    symlinkSync(target, join(this.#temporaryDirectory, name))
  }

  /** The port that `--listen=127.0.0.1:0` got. */
  async networkPort(): Promise<number> {
    const { address } = await this.untilLogged('listening', (line) =>
      String(line['address']).startsWith('127.'),
    )
    return Number(String(address).split(':')[1])
  }

  /** A replication connection; the caller ends it. */
  async connect(user = 'backup', config: ClientConfig = {}): Promise<Client> {
    const options: ClientConfig & { replication: string } = {
      host: this.socketDirectory,
      port: this.port,
      user,
      database: user,
      ssl: false,
      replication: 'true',
      ...config,
    }
    const client = new Client(options)
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /**
   * Runs psql as a user would.
   *
   * @param input - a file for its stdin
   */
  async psql(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    input?: string,
  ): Promise<ProgramResult> {
    return await runProgram(psqlProgram(), ['--no-psqlrc', 'replication=1', ...args], {
      env: { ...this.environment(), ...env },
      ...(input !== undefined && { input }),
    })
  }

  environment(): Record<string, string> {
    return {
      PGHOST: this.socketDirectory,
      PGPORT: String(this.port),
      PGUSER: 'backup',
      PGDATABASE: 'backup',
      PGCLIENTENCODING: 'UTF8',
    }
  }

  /** Sends a signal, and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<AgentEnd> {
    this.process.kill(signal)
    return await this.end
  }
}

/** That of Debian's PostgreSQL: whatever needs it is skipped without that. */
export function psqlProgram(): string {
  const path = debianPostgres()?.path('psql')
  if (path === undefined) throw new Error('there is no psql of PostgreSQL 15')
  return path
}

/** Whether the server has a connection of the agent's in backup mode, or on its way there. */
export async function isInBackupMode(cluster: Cluster): Promise<boolean> {
  const rows = await cluster.sql(
    `SELECT FROM pg_stat_activity WHERE application_name = 'pbmanifest' AND pid <> pg_backend_pid()`,
  )
  return rows.length > 0
}
