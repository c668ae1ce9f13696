import { setTimeout } from 'node:timers/promises'
import { existsSync } from 'node:fs'
import type { PbManifestError } from '../../../errors.js'
import type {
  BackupEnd,
  BackupMode,
  BackupStart,
  ClusterFacts,
  ServerDirectory,
  WalSummarizerState,
} from '../../cluster-files/cluster-files.js'
import { SqlBackupMode } from '../../cluster-files/sql/sql-backup-mode.js'
import { hearNotices, type ServerNotice } from '../../connection/server-error.js'
import type { ConnectionOptions } from '../../connection/settings/connection-options.js'
import { findServer, type SqlClient } from '../../connection/gate/connect-sql.js'
import type { WalSenderSearch } from '../../connection/gate/connect-replication.js'
import { readControlFile, readControlFileWhileWritten } from '../../../manifest/data-directory-files.js'
import type { ControlFile } from '../../../postgres/control-file.js'
import { parseLsn } from '../../../postgres/lsn.js'
import { sqlError } from '../../cluster-files/sql/sql-error.js'
import { ask } from '../../connection/answer-watch.js'
import { RefusedError } from '../../commands/refused-error.js'

interface OpenedMode {
  readonly mode: SqlBackupMode
  readonly client: SqlClient
}

/**
 * Backup mode of the server that runs on our data directory. It connects when it is first needed, so that a session which
 * joins a backup has no connection, and a server that is down is an error of the command that needs it.
 */
export class AgentBackupMode implements BackupMode {
  readonly #server: ConnectionOptions
  readonly #dataDirectory: string
  readonly #onNotice: (notice: ServerNotice) => void
  #opened: Promise<OpenedMode> | undefined
  #isRunning = false
  readonly #ending = new AbortController()
  #reportLoss: (error: PbManifestError) => void = () => {}
  readonly lost: Promise<PbManifestError>

  /** @param onNotice - is told what the server says beside its answers */
  constructor(
    server: ConnectionOptions,
    dataDirectory: string,
    onNotice: (notice: ServerNotice) => void = () => {},
  ) {
    this.#server = server
    this.#dataDirectory = dataDirectory
    this.#onNotice = onNotice
    this.lost = new Promise((resolve) => {
      this.#reportLoss = resolve
    })
  }

  async facts(): Promise<ClusterFacts> {
    const { mode } = await this.#open()
    return await mode.facts()
  }

  async findWalSender(applicationName: string): Promise<WalSenderSearch> {
    const { mode } = await this.#open()
    return await mode.findWalSender(applicationName)
  }

  async start(options: { readonly label: string; readonly fast: boolean }): Promise<BackupStart> {
    const { mode, client } = await this.#open()
    this.#isRunning = true
    try {
      const start = await mode.start(options)
      // Again: of a copy that was made just before we connected, the control file was the same until this checkpoint.
      await requireSameCluster(client, this.#dataDirectory)
      return start
    } catch (error) {
      // The server may be in backup mode.
      await this.abandon()
      throw error
    }
  }

  async stop(options: { readonly waitForArchive: boolean }): Promise<BackupEnd> {
    const { mode } = await this.#open()
    const end = await mode.stop(options)
    this.#isRunning = false
    return end
  }

  async directories(): Promise<readonly ServerDirectory[]> {
    const { mode } = await this.#open()
    return await mode.directories()
  }

  async timelineHistory(timeline: number): Promise<Buffer | undefined> {
    const { mode } = await this.#open()
    return await mode.timelineHistory(timeline)
  }

  async walSummarizer(): Promise<WalSummarizerState> {
    const { mode } = await this.#open()
    return await mode.walSummarizer()
  }

  async abandon(): Promise<void> {
    const opened = this.#opened
    this.#isRunning = false
    this.#opened = undefined
    await (await opened?.catch(() => {}))?.mode.close()
  }

  async close(): Promise<void> {
    this.#ending.abort()
    const opened = await this.#opened?.catch(() => {})
    await opened?.mode.close()
  }

  #open(): Promise<OpenedMode> {
    this.#opened ??= this.#connect()
    return this.#opened
  }

  async #connect(): Promise<OpenedMode> {
    try {
      return await this.#connectOnce()
    } catch (error) {
      this.#opened = undefined
      throw error
    }
  }

  async #connectOnce(): Promise<OpenedMode> {
    const { client } = await findServer(this.#server, this.#ending.signal)
    hearNotices(client, this.#onNotice)
    const mode = await SqlBackupMode.open(() => Promise.resolve(client))
    try {
      await requireSameCluster(client, this.#dataDirectory)
    } catch (error) {
      await mode.close()
      throw error
    }
    void mode.lost.then(async (error) => await this.#lose(mode, error))
    return { mode, client }
  }

  async #lose(mode: SqlBackupMode, error: PbManifestError): Promise<void> {
    const opened = await this.#opened?.catch(() => {})
    if (opened?.mode !== mode) return
    if (this.#isRunning) this.#reportLoss(error)
    // An idle one is made again when it is needed.
    else this.#opened = undefined
  }
}

const MAX_ATTEMPTS = 20
const PAUSE_MS = 25

// These functions read the file, whatever the server knows better in its memory.
const CONTROL_FILE_QUERY = `
  SELECT system_identifier::text AS system,
         pg_catalog.date_part('epoch', pg_control_last_modified)::bigint::text AS time,
         checkpoint_lsn::text AS checkpoint, min_recovery_end_lsn::text AS recovery
    FROM pg_catalog.pg_control_system(), pg_catalog.pg_control_checkpoint(), pg_catalog.pg_control_recovery()`

interface ControlFileRow {
  readonly system: string
  readonly time: string
  readonly checkpoint: string
  readonly recovery: string
}

/**
 * Makes sure that the server at the other end of a connection is the one that runs on a data directory: files of one
 * and backup mode of another would make a backup that nobody notices is none.
 *
 * A standby, or a copy, has the same system identifier. So what is compared is the control file as the server reads it
 * with the file that is here: they are one file, which changes with every checkpoint, or two. `data_directory` would not do: it
 * may be named otherwise there, in a container, and not every role may see it.
 *
 * @throws {@link PbManifestError} `USAGE` when it is another one; `SERVER`, `IO`, `BAD_FILE`
 */
async function requireSameCluster(client: SqlClient, dataDirectory: string): Promise<void> {
  if (!existsSync(`${dataDirectory}/postmaster.pid`)) {
    throw new RefusedError(
      'wrong-state',
      `no server runs on data directory "${dataDirectory}": it has no "postmaster.pid"`,
    )
  }
  for (let attempt = 1; ; attempt++) {
    const before = await readControl(dataDirectory)
    const theirs = await askServer(client)
    requireSameSystem(before, theirs, dataDirectory)
    // It may have been written between the two looks.
    if (isSame(before, theirs) || isSame(await readControl(dataDirectory), theirs)) return
    if (attempt === MAX_ATTEMPTS) throw notOnDirectory(dataDirectory)
    await setTimeout(PAUSE_MS)
  }
}

async function readControl(dataDirectory: string): Promise<ControlFile | undefined> {
  return await readControlFileWhileWritten(() => readControlFile(dataDirectory))
}

async function askServer(client: SqlClient): Promise<ControlFileRow | undefined> {
  try {
    const [row] = await ask<ControlFileRow & Record<string, unknown>>(client, CONTROL_FILE_QUERY)
    return row
  } catch (error) {
    throw sqlError(error, client.user ?? '')
  }
}

function requireSameSystem(
  ours: ControlFile | undefined,
  theirs: ControlFileRow | undefined,
  dataDirectory: string,
): void {
  const theirIdentifier = BigInt.asUintN(64, BigInt(theirs?.system ?? 0))
  if (ours?.systemIdentifier === theirIdentifier) return
  throw new RefusedError(
    'wrong-state',
    `system identifier differs between data directory "${dataDirectory}" and the server`,
    `The directory has ${String(ours?.systemIdentifier)}, the server ${theirIdentifier}.`,
  )
}

function isSame(ours: ControlFile | undefined, theirs: ControlFileRow | undefined): boolean {
  return (
    ours !== undefined &&
    theirs !== undefined &&
    ours.time === Number(theirs.time) &&
    ours.checkPoint === parseLsn(theirs.checkpoint) &&
    ours.minRecoveryPoint === parseLsn(theirs.recovery)
  )
}

function notOnDirectory(dataDirectory: string): RefusedError {
  return new RefusedError(
    'wrong-state',
    `the server runs on another data directory than "${dataDirectory}"`,
    'The two are of the same system, as a primary and its standby are, but their control files differ.',
  )
}
