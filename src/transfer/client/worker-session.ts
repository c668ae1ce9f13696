import { throwIfAborted } from '../../files/yielder.js'
import { createBackupId } from '../../manifest/fragment/backup-id.js'
import { type ConnectionRetries, LostConnections } from '../connection/lost-connection.js'
import type { BackupSession } from '../session/backup-session.js'
import { isDoneAlready } from './source/agent-connection.js'
import { openWorkerSession } from './source/open-source.js'
import type { SessionSource, JoinableBackup, OpenedWorker, OpenOptions } from './source/source.js'

/**
 * The session of a worker. Over SQL it lives in this process, and sees to its connections itself. At an agent it ends with
 * its connection; another one takes its place there. Of what it has sent, the files that came whole stay in its part of the
 * manifest, and the one that was on its way is sent again, from its beginning.
 */
export class WorkerSession {
  readonly #where: SessionSource
  readonly #options: OpenOptions
  readonly #losses: LostConnections
  /** By which we take the place of our own sessions, and nobody else does. */
  readonly #id: string | undefined
  #opened: OpenedWorker
  #backup: JoinableBackup | undefined
  #received = 0

  private constructor(
    opened: OpenedWorker,
    where: SessionSource,
    options: OpenOptions,
    retries: ConnectionRetries | undefined,
  ) {
    this.#opened = opened
    this.#where = where
    this.#options = options
    this.#losses = new LostConnections(retries)
    this.#id = retries && createBackupId()
  }

  /** @throws {@link PbManifestError} `SERVER` or `ABORTED` */
  static async open(where: SessionSource, options: OpenOptions): Promise<WorkerSession> {
    if (where.kind === 'sql' || options.retries === undefined) {
      return new WorkerSession(await openWorkerSession(where, options), where, options, undefined)
    }
    // An idle one that is lost is missed when there is more to do.
    const quiet: OpenOptions = { ...options, onLost: () => {}, retries: undefined }
    const retries = { ...options.retries, signal: options.signal }
    return new WorkerSession(await openWorkerSession(where, quiet), where, quiet, retries)
  }

  /** See {@link OpenedWorker.pid}. */
  get pid(): number | undefined {
    return this.#opened.pid
  }

  /** The one that there is now. */
  get current(): BackupSession {
    return this.#opened.session
  }

  /** @throws {@link PbManifestError} */
  async join(backup: JoinableBackup): Promise<void> {
    this.#backup = backup
    try {
      await this.#join(backup)
    } catch (error) {
      await this.replace(error)
    }
  }

  /** A file came whole. */
  countReceived(): void {
    this.#received++
    this.#losses.forget()
  }

  /**
   * Puts another session in the place of this one after this failure, if that is the loss of its connection.
   *
   * @throws the failure itself, if it is not, or there is no connection; {@link PbManifestError}
   */
  async replace(failure: unknown): Promise<void> {
    throwIfAborted(this.#options.signal)
    await this.#losses.replace(failure, () => this.#renew())
  }

  /**
   * Ends it: its part of the manifest is complete.
   *
   * @throws {@link PbManifestError}
   */
  async finish(): Promise<void> {
    for (;;) {
      try {
        return await this.current.finish()
      } catch (error) {
        try {
          await this.replace(error)
        } catch (failure) {
          // It had left; what was lost is the answer.
          if (isDoneAlready(failure)) return await this.abort()
          throw failure
        }
      }
    }
  }

  /** Ends it after a failure. Never throws. */
  async abort(): Promise<void> {
    await this.current.abort()
  }

  async #renew(): Promise<void> {
    await this.#opened.session.abort()
    this.#opened = await openWorkerSession(this.#where, this.#options)
    if (this.#backup !== undefined) await this.#join(this.#backup)
  }

  async #join(backup: JoinableBackup): Promise<void> {
    const { session } = this.#opened
    this.#opened.makeKnown(backup)
    const place = this.#id === undefined ? undefined : { id: this.#id, received: this.#received }
    const { signal } = this.#options
    await session.run({ command: 'JOIN_BACKUP', backupId: backup.backupId, session: place }, signal)
  }
}
