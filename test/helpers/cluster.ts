import { chownSync } from 'node:fs'
import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Client, type QueryResultRow } from 'pg'
import { type DataDirectoryOptions, makeDataDirectory, superuser } from './data-directory.js'
import type { PostgresPrograms } from './postgres-programs.js'
import { type ProgramResult, runProgram } from './run-program.js'
import { createScratchDirectory, type ScratchDirectory } from './scratch-directory.js'
import { ServerProcess, type StopMode } from './server-process.js'
import { type UnprivilegedUser, unprivilegedUser } from './unprivileged-user.js'

export type Settings = Readonly<Record<string, string | number | boolean>>

export interface ClusterOptions extends DataDirectoryOptions {
  /** Lines for postgresql.conf, after our own. */
  readonly settings?: Settings
}

/** The server listens only on a Unix socket in a directory of its own, so every cluster may have the same port. */
const port = 5432

/**
 * A real PostgreSQL cluster in a scratch directory, superuser `postgres`, no passwords.
 *
 * Made by {@link createCluster} or `createStandby`. Its server ends with our process at the latest.
 */
export class Cluster {
  readonly programs: PostgresPrograms
  readonly scratch: ScratchDirectory
  readonly user: UnprivilegedUser | undefined
  readonly dataDirectory: string
  readonly logFile: string
  readonly #process: ServerProcess

  constructor(programs: PostgresPrograms, scratch: ScratchDirectory) {
    this.programs = programs
    this.scratch = scratch
    this.user = unprivilegedUser()
    this.dataDirectory = join(scratch.path, 'data')
    this.logFile = join(scratch.path, 'server.log')
    this.#process = new ServerProcess(this)
  }

  /** The directory of the server's Unix socket, which is also what `PGHOST` takes. */
  get socketDirectory(): string {
    return this.scratch.path
  }

  get port(): number {
    return port
  }

  start(): Promise<void> {
    return this.#process.start()
  }

  /** Stops the server and waits for its end. */
  stop(mode: StopMode = 'fast'): Promise<void> {
    return this.#process.stop(mode)
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** Makes a standby a primary on a new timeline. */
  promote(): Promise<void> {
    return this.#process.promote()
  }

  /** The process id of the postmaster, or `undefined` when it does not run. */
  pid(): number | undefined {
    return this.#process.pid()
  }

  /** A new connection; the caller ends it. */
  async client(database: string = superuser): Promise<Client> {
    const client = new Client({ ...this.connectionOptions(), database })
    // The loss of an idle connection when the server stops is no reason to crash.
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /** What `pg` needs to connect. */
  connectionOptions(): { host: string; port: number; user: string; database: string; ssl: false } {
    return { host: this.socketDirectory, port, user: superuser, database: superuser, ssl: false }
  }

  /** Runs SQL on a connection of its own; with several statements, returns the rows of the last. */
  async sql<Row extends QueryResultRow>(text: string, database?: string): Promise<Row[]> {
    const client = await this.client(database)
    try {
      const results = [await client.query<Row>(text)].flat()
      return results.at(-1)?.rows ?? []
    } finally {
      await client.end()
    }
  }

  /** Runs a PostgreSQL program against this cluster, whatever its exit status. */
  async run(
    program: string,
    args: readonly string[],
    options: { readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<ProgramResult> {
    const path = this.programs.path(program)
    if (path === undefined) throw new Error(`no ${program} in "${this.programs.bin}"`)
    return runProgram(path, args, { user: this.user, env: { ...this.environment(), ...options.env } })
  }

  /** The environment variables that lead libpq to this cluster. */
  environment(): Record<string, string> {
    return { PGHOST: this.socketDirectory, PGPORT: String(port), PGUSER: superuser, PGDATABASE: superuser }
  }

  /** Makes a tablespace with a directory of its own, and returns that. */
  async createTablespace(name: string): Promise<string> {
    const location = await this.makeDirectory('tablespaces', name)
    await this.sql(`CREATE TABLESPACE "${name}" LOCATION '${location}'`)
    return location
  }

  /** Makes a directory in the scratch directory that the server's user owns. */
  async makeDirectory(...components: readonly string[]): Promise<string> {
    let path = this.scratch.path
    for (const component of components) {
      path = join(path, component)
      await mkdir(path, { recursive: true, mode: 0o700 })
      if (this.user !== undefined) chownSync(path, this.user.uid, this.user.gid)
    }
    return path
  }

  /** Stops the server, if it runs, and removes everything. */
  async remove(): Promise<void> {
    await this.#process.end()
    this.scratch.remove()
  }
}

/** Makes a new cluster and starts it. */
export async function createCluster(
  programs: PostgresPrograms,
  options: ClusterOptions = {},
): Promise<Cluster> {
  const cluster = new Cluster(programs, createScratchDirectory())
  try {
    await makeDataDirectory(cluster.dataDirectory, programs, options)
    await appendSettings(cluster, { ...plainSettings(cluster), ...options.settings })
    await cluster.start()
    return cluster
  } catch (error) {
    await cluster.remove()
    throw error
  }
}

/** Appends to the postgresql.conf of a cluster that does not run yet; later lines win. */
export async function appendSettings(cluster: Cluster, settings: Settings): Promise<void> {
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`,
  )
  await appendFile(join(cluster.dataDirectory, 'postgresql.conf'), lines.join(''))
}

function plainSettings(cluster: Cluster): Settings {
  return {
    listen_addresses: '',
    unix_socket_directories: cluster.socketDirectory,
    port,
    fsync: false,
    wal_level: 'replica',
    max_wal_senders: 10,
    max_connections: 25,
    shared_buffers: '16MB',
    autovacuum: false,
    timezone: 'UTC',
    log_timezone: 'UTC',
    // A standby whose upstream was promoted tries again after this time; the default is 5 s.
    wal_retrieve_retry_interval: '100ms',
  }
}
