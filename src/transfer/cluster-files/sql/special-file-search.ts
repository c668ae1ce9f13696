import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from 'pg'
import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { displayPathname, type Pathname } from '../../../files/pathname.js'
import { throwIfAborted } from '../../../files/yielder.js'
import { nearestVersion } from '../../../postgres/versions.js'
import { ask } from '../../connection/answer-watch.js'
import { cancelRequest, destroyConnection, endConnection } from '../../connection/pg-connection.js'
import type { ConnectionOptions } from '../../connection/settings/connection-options.js'
import {
  connectReplication,
  type ReplicationClient,
  type ReplicationProof,
} from '../../connection/gate/connect-replication.js'
import { serverError, type ServerNotice } from '../../connection/server-error.js'

/** What a search for links and special files needs. */
export interface SpecialFileSearch {
  readonly connection: ConnectionOptions
  readonly proof: () => Promise<ReplicationProof>
  /** Is told when the server cannot be asked. */
  readonly onNotice: (notice: ServerNotice) => void
  readonly signal: AbortSignal
}

/** So many names are told at most. */
const MOST_NAMES = 5

/**
 * Finds what `BASE_BACKUP` would skip in the data directory: links, FIFOs, sockets, devices. No function of SQL tells these,
 * but a server names them while it estimates the size of a base backup; what would follow is not taken.
 *
 * Where the server cannot be asked, a notice says so.
 *
 * @param suspects - what there is a doubt about, for the notice
 * @returns pathnames, relative to the data directory; `undefined`: it is not known
 * @throws {@link PbManifestError} `ABORTED`
 */
export async function findSpecialFiles(
  { connection, proof, onNotice, signal }: SpecialFileSearch,
  suspects: readonly Pathname[],
): Promise<ReadonlySet<Pathname> | undefined> {
  try {
    const known = await proof()
    const client = await connectReplication(connection, known, signal)
    return await withAbort(client, signal, () => estimateSize(client, known.majorVersion))
  } catch (error) {
    throwIfAborted(signal)
    const { message, hint } = isPbManifestError(error)
      ? error
      : serverError('could not estimate the size of a base backup', error)
    onNotice({
      severity: 'WARNING',
      message: `could not find out which of ${nameSome(suspects)} are links or special files, so that what they lead to is copied: ${message}`,
      hint,
    })
    return undefined
  }
}

async function withAbort<Value>(
  client: ReplicationClient,
  signal: AbortSignal,
  work: () => Promise<Value>,
): Promise<Value> {
  const leave = (): void => destroyConnection(client)
  signal.addEventListener('abort', leave, { once: true })
  try {
    throwIfAborted(signal)
    return await work()
  } finally {
    signal.removeEventListener('abort', leave)
    await endConnection(client)
  }
}

/** How long a server may take to end a base backup that was cancelled. */
const CANCEL_TIMEOUT_MS = 5000

async function estimateSize(client: ReplicationClient, majorVersion: number): Promise<ReadonlySet<Pathname>> {
  // It begins with a checkpoint, which would remove the WAL since the start of the backup that runs already.
  await ask(
    client,
    `CREATE_REPLICATION_SLOT "pbmanifest_${randomBytes(8).toString('hex')}" TEMPORARY PHYSICAL RESERVE_WAL`,
  )
  const messages: string[] = []
  client.on('notice', ({ message = '', routine }) => {
    // Whatever language it is in.
    if (routine === 'sendDir') messages.push(message)
  })
  const estimate = new SizeEstimate(nearestVersion(majorVersion).baseBackupForEstimate)
  client.query(estimate)
  try {
    await estimate.done
  } finally {
    // In good order, and not by leaving: the WAL sender is free again when this is over, and the server's log is the shorter.
    if (!estimate.hasEnded) await cancelRequest(client)
    await Promise.race([estimate.ended, sleep(CANCEL_TIMEOUT_MS, undefined, { ref: false })])
    if (!estimate.hasEnded) destroyConnection(client)
  }
  return new Set(messages.flatMap((message) => parseSpecialFile(message) ?? []))
}

/** A BASE_BACKUP up to its list of tablespaces, which comes when all sizes are known. */
class SizeEstimate {
  /** Rejects when the server refuses. */
  readonly done: Promise<void>
  /** Resolves when the server is ready for another command, or there is nobody to be ready. */
  readonly ended: Promise<void>
  hasEnded = false
  readonly #text: string
  #results = 0
  #resolve!: () => void
  #reject!: (error: unknown) => void
  #end!: () => void

  constructor(text: string) {
    this.#text = text
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.ended = new Promise((resolve) => {
      this.#end = () => {
        this.hasEnded = true
        resolve()
      }
    })
  }

  submit(connection: Connection): void {
    connection.query(this.#text)
  }

  /** The first result is where the backup starts. */
  handleCommandComplete(): void {
    if (++this.#results === 2) this.#resolve()
  }

  handleError(error: unknown): void {
    this.#reject(error)
    this.#end()
  }

  handleReadyForQuery(): void {
    this.#reject(
      new PbManifestError('SERVER', 'the server ended a base backup without a list of tablespaces'),
    )
    this.#end()
  }

  handleCopyData(): void {}

  handleRowDescription(): void {}

  handleDataRow(): void {}

  handleEmptyQuery(): void {}

  handlePortalSuspended(): void {}
}

/** The quotes that there are in PostgreSQL's translations; within them a name, which may have any of these, too. */
const quotedPaths = [
  /^[^"«»]*"(?<path>.*)"[^"«»]*$/s,
  /^[^"«»]*»(?<path>.*)«[^"«»]*$/s,
  /^[^"«»]*«[ \u00a0\u202f](?<path>.*)[ \u00a0\u202f]»[^"«»]*$/s,
  /^[^"«»]*«(?<path>.*)»[^"«»]*$/s,
]

/**
 * Takes the pathname out of `skipping special file "./fifo"`, in any language.
 *
 * @returns `undefined` for what is in a tablespace, which is named by the path of that
 * @throws {@link PbManifestError} `SERVER` when there is no telling which one is meant: to leave out another would lose it
 */
export function parseSpecialFile(message: string): Pathname | undefined {
  const matches = quotedPaths.map((pattern) => pattern.exec(message)?.groups?.['path'])
  const path = matches.find((match) => match !== undefined) ?? ''
  // Messages come as UTF-8, and what is not is lost.
  if (path.startsWith('./') && !path.includes('\ufffd')) return path.slice('./'.length)
  if (/^(?:\/|pg_tblspc\/)/.test(path)) return undefined
  throw new PbManifestError(
    'SERVER',
    `the server names a special file in words that are not known: "${displayPathname(message)}"`,
  )
}

function nameSome(pathnames: readonly Pathname[]): string {
  const named = pathnames.slice(0, MOST_NAMES).map((pathname) => `"${displayPathname(pathname)}"`)
  const more = pathnames.length - named.length
  return more === 0 ? named.join(', ') : `${named.join(', ')} and ${more} more`
}
