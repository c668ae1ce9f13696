import { setTimeout as sleep } from 'node:timers/promises'
import type PgBoss from 'pg-boss'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/yielder.js'
import { expectAnswer } from '../transfer/connection/answer-watch.js'
import { isConnectionLoss } from '../transfer/connection/connection-failure.js'
import type { ConnectionOptions } from '../transfer/connection/settings/connection-options.js'
import { connectToDatabase, type SqlClient } from '../transfer/connection/gate/connect-sql.js'
import { destroyConnection, endConnection } from '../transfer/connection/pg-connection.js'
import { serverError } from '../transfer/connection/server-error.js'
import { attemptAt, DEFAULT_SCHEMA, readVersion, requireSchemaName, sqlStateOf } from './fleet-schema.js'

/** Where a queue is, and what happens to the connection to it. */
export interface FleetConnection {
  /** As `resolveConnection` has it. */
  readonly connection: ConnectionOptions
  /** The schema that the queue is in. Default: `pbmanifest`. */
  readonly schema?: string
  /** Is told once when the connection is lost, and once when it is there again (`undefined`). */
  readonly onConnection?: (loss: string | undefined) => void
}

/** What a transaction on the queue is made of. */
export interface QueueTransaction {
  readonly schema: string
  /** What hands out jobs. All that it does is part of the transaction. */
  readonly jobs: PgBoss
  readonly query: <Row extends object>(text: string, values?: readonly unknown[]) => Promise<readonly Row[]>
}

/** So long, in seconds, the server may be silent while an answer is due, unless the caller says otherwise. */
const SILENCE_SECONDS = 30

/** How long a farewell may take, in milliseconds. */
const BRIEF_MS = 5000

/** The first and the longest pause before the next attempt to connect, in milliseconds. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000

/**
 * The queue of a fleet: one connection, which is made anew when it is lost, and what is done on it, one transaction after the
 * other.
 */
export class FleetQueue {
  readonly schema: string
  readonly #options: FleetConnection
  readonly #jobs: PgBoss
  #client: SqlClient | undefined
  #turn: Promise<unknown> = Promise.resolve()
  /** `pg-boss` keeps some errors to itself. */
  #failure: Error | undefined
  #hasNews = false
  #wake: (() => void) | undefined

  private constructor(options: FleetConnection, schema: string, Boss: typeof PgBoss) {
    const { connection } = options
    const ioTimeout = connection.ioTimeout === 0 ? SILENCE_SECONDS : connection.ioTimeout
    this.schema = schema
    this.#options = { ...options, connection: { ...connection, ioTimeout } }
    // It connects itself otherwise, in another way than all else does here; and no timer of its own may end a job.
    this.#jobs = new Boss({
      db: { executeSql: async (text, values) => ({ rows: [...(await this.#query<object>(text, values))] }) },
      schema,
      migrate: false,
      supervise: false,
      schedule: false,
    })
    this.#jobs.on('error', () => {})
  }

  /**
   * Connects to a queue that there is.
   *
   * @param isPatient - not yet, but when something is done in it, and then for as long as it takes
   * @throws {@link PbManifestError} `SERVER` also where there is none, or one of a version that this one does not know; `USAGE` when
   * `pg-boss` is not installed; `ABORTED`
   */
  static async open(options: FleetConnection, signal?: AbortSignal, isPatient = false): Promise<FleetQueue> {
    const schema = requireSchemaName(options.schema ?? DEFAULT_SCHEMA)
    const queue = new FleetQueue(options, schema, await loadPgBoss())
    if (!isPatient) await queue.#connect(signal)
    return queue
  }

  /**
   * Does something in a transaction of its own, again when the connection was lost meanwhile: nobody knows then whether it was
   * done, so it has to come to the same when it is done twice.
   *
   * @throws {@link PbManifestError} `SERVER`, `ABORTED`
   */
  async run<Result>(
    work: (transaction: QueueTransaction) => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    const before = this.#turn
    const result = (async () => {
      await before
      return await this.#runUntilDone(work, signal)
    })()
    this.#turn = result.catch(() => {})
    return await result
  }

  /**
   * The same for what is only a courtesy: what is under way is ended when the server does not answer in time.
   *
   * @throws {@link PbManifestError} `SERVER`, `ABORTED`
   */
  async runBriefly(work: (transaction: QueueTransaction) => Promise<void>): Promise<void> {
    const late = AbortSignal.timeout(BRIEF_MS)
    const drop = (): void => this.#drop()
    late.addEventListener('abort', drop)
    try {
      await this.run(work, late)
    } finally {
      late.removeEventListener('abort', drop)
    }
  }

  /** Waits until something happens in the queue, but no longer than this. */
  async waitForNews(milliseconds: number, signal?: AbortSignal): Promise<void> {
    if (!this.#hasNews && signal?.aborted !== true) {
      const timer = new AbortController()
      const stop = signal === undefined ? timer.signal : AbortSignal.any([signal, timer.signal])
      this.#wake = () => timer.abort()
      await sleep(milliseconds, undefined, { signal: stop }).catch(() => {})
      this.#wake = undefined
    }
    this.#hasNews = false
  }

  /** Says goodbye. Never throws. */
  async close(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    if (client !== undefined) await endConnection(client)
  }

  async #runUntilDone<Result>(
    work: (transaction: QueueTransaction) => Promise<Result>,
    signal: AbortSignal | undefined,
  ): Promise<Result> {
    let pause = FIRST_PAUSE_MS
    let isLost = false
    for (;;) {
      throwIfAborted(signal)
      try {
        if (this.#client === undefined) await this.#connect(signal)
        if (isLost) this.#options.onConnection?.(undefined)
        isLost = false
        return await this.#transact(work)
      } catch (error) {
        throwIfAborted(signal)
        if (isConflict(error)) continue
        if (!isConnectionLoss(error)) throw error
        this.#drop()
        if (!isLost) this.#options.onConnection?.(isPbManifestError(error) ? error.message : String(error))
        isLost = true
      }
      await sleep(pause, undefined, { signal }).catch(() => {})
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
    }
  }

  async #transact<Result>(work: (transaction: QueueTransaction) => Promise<Result>): Promise<Result> {
    this.#failure = undefined
    await this.#query('BEGIN')
    try {
      const result = await work({
        schema: this.schema,
        jobs: this.#jobs,
        query: async (text, values) => await this.#query(text, values),
      })
      if (this.#failure !== undefined) throw this.#failure as Error
      await this.#query('COMMIT')
      return result
    } catch (error) {
      const first = this.#failure ?? error
      if (!isConnectionLoss(first)) await this.#query('ROLLBACK').catch(() => this.#drop())
      throw first
    }
  }

  async #query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    const client = this.#client
    if (client === undefined) throw serverError(attemptAt(this.schema), new Error('Connection terminated'))
    const hasCome = expectAnswer(client.connection.stream)
    try {
      // Without values, there may be several statements.
      const answer = await (values.length === 0 ? client.query(text) : client.query(text, [...values]))
      return [answer].flat().at(-1)?.rows as readonly Row[]
    } catch (error) {
      this.#failure ??= serverError(attemptAt(this.schema), error)
      throw this.#failure
    } finally {
      hasCome()
    }
  }

  async #connect(signal: AbortSignal | undefined): Promise<void> {
    const client = await connectToDatabase(this.#options.connection, signal)
    this.#client = client
    this.#failure = undefined
    try {
      await this.#requireQueue()
      client.on('notification', () => {
        this.#hasNews = true
        this.#wake?.()
      })
      await this.#query(`LISTEN ${channelOf(this.schema)}`)
    } catch (error) {
      this.#drop()
      throwIfAborted(signal)
      throw error
    }
    // Nobody knows what there was meanwhile.
    this.#hasNews = true
  }

  #drop(): void {
    if (this.#client !== undefined) destroyConnection(this.#client)
    this.#client = undefined
  }

  async #requireQueue(): Promise<void> {
    const found = await readVersion(this.#client as SqlClient, this.schema)
    if (found === undefined) {
      throw new PbManifestError('SERVER', `there is no queue in schema "${this.schema}"`, {
        hint: '"pbmanifest fleet init" makes one. Which database is meant, --queue says.',
      })
    }
    try {
      await this.#jobs.start()
    } catch (error) {
      if (isPbManifestError(error)) throw error
      const reason = error instanceof Error ? error.message : String(error)
      const what = `the queue in schema "${this.schema}" is not one of the installed version of pg-boss`
      throw new PbManifestError('SERVER', `${what}: ${reason}`, { cause: error })
    }
  }
}

/** Tells all that wait for news of this queue. */
export async function notifyFleet({ query, schema }: QueueTransaction): Promise<void> {
  await query(`NOTIFY ${channelOf(schema)}`)
}

function channelOf(schema: string): string {
  return `pbmanifest_${schema}`
}

/** Two transactions were in each other's way: `deadlock_detected`, `serialization_failure`. */
function isConflict(error: unknown): boolean {
  return ['40P01', '40001'].includes(sqlStateOf(error) ?? '')
}

/** Only a fleet needs it: an optional package. */
export async function loadPgBoss(): Promise<typeof PgBoss> {
  try {
    return (await import('pg-boss')).default
  } catch (cause) {
    throw new PbManifestError('USAGE', 'the package "pg-boss", which a fleet needs, is not installed', {
      cause,
      hint: 'Install it beside pbmanifest: npm install pg-boss@10.',
    })
  }
}
