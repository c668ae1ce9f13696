import type { Client, DatabaseError } from 'pg'
import { throwIfAborted } from '../files/yielder.js'
import type { ServerPrograms, ServerUser } from './find-server.js'
import type { DrillCheck, DrillFailure, DrillFinding } from './report.js'
import { drillPort, sessionOptions } from './server-settings.js'

/** So many findings of a check are told. */
const MOST_FINDINGS = 100

/** A server that has recovered. */
export interface RunningServer {
  readonly major: number
  readonly socketDirectory: string
  readonly username: string
  readonly database: string
  readonly programs: ServerPrograms
  readonly user: ServerUser | undefined
  readonly signal: AbortSignal | undefined
}

/** Thrown when a check could not be done, so that nothing is known of the backup. */
export class CheckNotDone extends Error {
  readonly failure: DrillFailure

  constructor(message: string, hint?: string) {
    super(message)
    this.failure = { part: 'drill', message, details: [], ...(hint !== undefined && { hint }) }
  }
}

/** Collects what a check finds. */
export class Findings {
  readonly #started = performance.now()
  readonly #findings: DrillFinding[] = []
  #count = 0
  objects = 0

  add(finding: DrillFinding): void {
    this.#count++
    if (this.#findings.length < MOST_FINDINGS) this.#findings.push(finding)
  }

  conclude(what: DrillCheck['what']): DrillCheck {
    return {
      what,
      isPassed: this.#count === 0,
      objects: this.objects,
      findings: this.#findings,
      findingCount: this.#count,
      seconds: (performance.now() - this.#started) / 1000,
    }
  }
}

/**
 * The databases that take connections.
 *
 * @throws {@link CheckNotDone} when nobody is let in, whatever the backup is
 */
export async function listDatabases(server: RunningServer): Promise<string[]> {
  let damage: unknown
  for (const database of [server.database, 'template1']) {
    try {
      return await withClient(server, database, async (client) => {
        const { rows } = await client.query<{ datname: string }>(
          'SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname',
        )
        return rows.map(({ datname }) => datname)
      })
    } catch (error) {
      // 28000: there is no such role; 3D000: no such database.
      const code = (error as Partial<DatabaseError>).code
      if (code === '28000') {
        throw new CheckNotDone(
          describeError(error),
          'Say with -U, --username=NAME who is a superuser of the cluster.',
        )
      }
      if (isOfBackup(error)) damage ??= error
      else if (code !== '3D000') throw error
    }
  }
  if (damage !== undefined) throw damage
  throw new CheckNotDone(`there is no database "${server.database}"`, 'Say with -d, --dbname=NAME which one.')
}

/** Uses a connection of its own. @throws what the server reports, or `ABORTED` */
export async function withClient<Result>(
  { socketDirectory, username, major, signal }: RunningServer,
  database: string,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({
    host: socketDirectory,
    port: drillPort,
    user: username,
    database,
    ssl: false,
    options: sessionOptions(major),
  })
  // The query that waits is told.
  client.on('error', () => {})
  const stop = (): void => void client.end().catch(() => {})
  throwIfAborted(signal)
  await client.connect()
  signal?.addEventListener('abort', stop)
  try {
    return await use(client)
  } catch (error) {
    throwIfAborted(signal)
    throw error
  } finally {
    signal?.removeEventListener('abort', stop)
    await client.end().catch(() => {})
  }
}

export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Whether this is an error that the server has reported. */
export function isReported(error: unknown): error is DatabaseError {
  return error instanceof Error && 'code' in error && 'severity' in error
}

/** Whether the server lacks a library: its class of error is that of a data file that is missing. */
export function isOfLibrary({ message }: DatabaseError): boolean {
  return /could not (?:access|load)/.test(message)
}

/** Whether an error tells of damaged data: what the server cannot read, or finds corrupted. */
export function isOfBackup(error: unknown): boolean {
  return isReported(error) && /^(?:XX|58)/.test(error.code ?? '') && !isOfLibrary(error)
}
