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
import type { ConnectionOptions } from '../../connection/connection-options.js'
import { findServer, type SqlClient } from '../../connection/gate/connect-sql.js'
import type { WalSenderSearch } from '../../connection/gate/connect-replication.js'
import { requireSameCluster } from './require-same-cluster.js'

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
