import { commandContracts } from '../commands/commands.js'
import type { ReplicationCommand, SessionCommand } from '../commands/replication-command.js'
import { type BackupHandle, openBackup } from '../session/backup.js'
import { removeFragments } from '../session/membership.js'
import type { WireClose, WireHandler, WireReply, WireClient } from '../wire/wire-handler.js'
import { type AgentEvent, type EventOfConnection, withoutBackupIds } from './agent-event.js'
import { AnswerWriter, parseQuery } from './answer-writer.js'
import { type BackupTable, type LedBackup, secondsSince } from './backup-table.js'
import {
  abortedByLeader,
  leaderLeft,
  replaced,
  sqlstates,
  toWireError,
  toWireErrorData,
  type WireErrorData,
} from './wire-error-data.js'
import type { FragmentDirectory } from './fragment-directory.js'
import { SessionThread } from './thread/session-thread.js'
import type { WorkerPlace, PlaceHolder } from './session-places.js'
import type { SpareThreads } from './thread/spare-threads.js'

/** What all connections of an agent share. */
export interface AgentContext {
  readonly backups: BackupTable
  readonly fragments: FragmentDirectory
  /** For the sessions. */
  readonly threads: SpareThreads
  readonly backupIdleTimeoutMs: number
  readonly onEvent: (event: AgentEvent) => void
}

/**
 * One connection: reads its commands and has its session, in a thread, run them. The thread starts with the first
 * command that needs it.
 */
export class ClientConnection implements WireHandler, PlaceHolder {
  readonly #context: AgentContext
  readonly #client: WireClient
  /** Whether the client may read the ids of other users' backups. */
  readonly #seesAllIds: boolean
  readonly #onClose: () => void
  #thread: SessionThread | undefined
  /** The reply to the command that runs. */
  #reply: WireReply | undefined
  /** The label in the START_BACKUP that runs. */
  #label = ''
  #led: LedBackup | undefined
  #joined: LedBackup | undefined
  /** In the backup that it has joined, or is about to join. */
  #place: WorkerPlace | undefined
  readonly #over: Promise<void>
  #markOver: () => void = () => {}

  constructor(
    context: AgentContext,
    client: WireClient,
    options: { readonly seesAllIds: boolean; readonly onClose: () => void },
  ) {
    this.#context = context
    this.#client = client
    this.#seesAllIds = options.seesAllIds
    this.#onClose = options.onClose
    this.#over = new Promise((resolve) => {
      this.#markOver = resolve
    })
  }

  /** Whether it has a part in a backup that it has not left, and that was not aborted. */
  get isInBackup(): boolean {
    const backup = this.#led ?? this.#joined
    return backup !== undefined && backup.state.phase !== 'aborted'
  }

  /** Ends the connection from our side. */
  end(error: WireErrorData): void {
    this.#client.end(toWireError(error, 'FATAL'))
  }

  async yieldPlace(): Promise<void> {
    this.end(replaced)
    await this.#over
  }

  async query(text: Buffer, reply: WireReply, signal: AbortSignal): Promise<void> {
    let command: ReplicationCommand | undefined
    this.#reply = reply
    try {
      command = parseQuery(text)
      if (command.command === 'LIST_BACKUPS') await this.#listBackups(reply)
      else await this.#runInSession(command, reply, signal)
    } catch (error) {
      const told = toWireError(this.#explain(error, command?.command))
      if (command?.command === 'LEAVE_BACKUP' && !this.isInBackup) this.#joined = undefined
      throw told
    } finally {
      this.#reply = undefined
      const backup = this.#led ?? this.#joined
      if (backup !== undefined) backup.lastActiveAt = performance.now()
    }
  }

  async close(how: WireClose): Promise<void> {
    const led = this.#led
    if (led !== undefined) led.failure ??= leaderLeft(how)
    const failure = await this.#endThread(how)
    if (led !== undefined) await this.#endLed(led, leaderLeft(how))
    if (failure !== undefined) this.#report(failure, undefined)
    this.#onClose()
    this.#markOver()
  }

  async #endThread(how: WireClose): Promise<WireErrorData | undefined> {
    const ending = this.#thread?.end(how === 'terminated' ? 'finish' : 'abort')
    if (ending === undefined) return undefined
    const joined = this.#joined
    joined?.leaving.add(ending)
    const failure = await ending
    joined?.leaving.delete(ending)
    if (joined !== undefined && how === 'terminated' && failure === undefined) this.#markLeft()
    return failure
  }

  mayStayIdle(): boolean {
    // A leader has nothing to say while its workers copy, and a worker while others do, or while it makes files durable.
    const { backupIdleTimeoutMs } = this.#context
    const backup = this.#led ?? this.#joined
    if (backup === undefined || !this.#context.backups.running.includes(backup)) return false
    return backupIdleTimeoutMs === 0 || performance.now() - backup.lastActiveAt < backupIdleTimeoutMs
  }

  async #listBackups(reply: WireReply): Promise<void> {
    const { user } = this.#client
    const listed = this.#context.backups.list((backup) => this.#seesAllIds || backup.user === user)
    await commandContracts.LIST_BACKUPS.result.encode(listed, {
      rows: (columns, rows) => reply.rows(columns, rows, 'LIST_BACKUPS'),
      part: async () => {},
    })
  }

  async #runInSession(command: SessionCommand, reply: WireReply, signal: AbortSignal): Promise<void> {
    const { backups } = this.#context
    const release = command.command === 'START_BACKUP' ? backups.reserve() : undefined
    const joined = command.command === 'JOIN_BACKUP' ? backups.find(command.backupId) : undefined
    try {
      await this.#prepare(command)
      this.#thread ??= this.#startThread()
      const writer = new AnswerWriter(reply, command.command, this.#thread.pieces)
      const worker = command.command === 'JOIN_BACKUP' ? await this.#takePlace(command, joined) : undefined
      const request = { command, backup: joined?.handle, worker }
      const input =
        command.command === 'UPLOAD_MANIFEST' ? reply.copyIn(signal)[Symbol.asyncIterator]() : undefined
      for await (const answer of this.#thread.run(request, signal, input)) await writer.write(answer)
      this.#noteDone(command, joined)
      await writer.finish()
    } catch (error) {
      await this.#noteAborted(toWireErrorData(error))
      throw error
    } finally {
      release?.()
    }
  }

  /** What has to be so before the session hears of the command. */
  async #prepare(command: ReplicationCommand): Promise<void> {
    if (command.command === 'START_BACKUP') {
      this.#label = command.label
      this.#context.fragments.ensure()
    }
    // The workers may fail before it is done.
    if (command.command === 'ABORT_BACKUP' && this.#led !== undefined) this.#led.failure ??= abortedByLeader
    // To its client, a worker that has said Terminate is gone.
    if (command.command === 'BUILD_MANIFEST' && this.#led !== undefined) await Promise.all(this.#led.leaving)
  }

  /** Before the session is asked to join: the one that has the place, has to be over by then. */
  async #takePlace(
    { backupId, session }: ReplicationCommand<'JOIN_BACKUP'>,
    joined: LedBackup | undefined,
  ): Promise<number | undefined> {
    const isMember = (this.#led ?? this.#joined) !== undefined
    if (session === undefined || joined === undefined || isMember) return undefined
    this.#place = await joined.places.take(session.id, { holder: this, backupId, state: joined.state })
    return this.#place?.worker
  }

  #markLeft(): void {
    if (this.#place !== undefined) this.#place.hasLeft = true
    this.#place = undefined
  }

  #noteDone({ command }: ReplicationCommand, joined: LedBackup | undefined): void {
    const { backups, onEvent } = this.#context
    const led = this.#led
    switch (command) {
      case 'JOIN_BACKUP':
        this.#joined = joined
        if (joined !== undefined) this.#tell({ type: 'worker-joined', backup: joined.number })
        return
      case 'STOP_BACKUP': {
        if (led === undefined) return
        const { number: backup, state, startedAt, handle } = led
        onEvent({
          type: 'backup-stopped',
          backup,
          bytes: state.bytesStreamed,
          seconds: secondsSince(startedAt),
        })
        if (handle.description.manifest === 'no') backups.finish(led)
        return
      }
      case 'BUILD_MANIFEST':
        if (led !== undefined) backups.finish(led)
        return
      case 'ABORT_BACKUP':
        if (led !== undefined) backups.abort(led, abortedByLeader)
        this.#led = undefined
        return
      case 'LEAVE_BACKUP':
        this.#led = undefined
        this.#joined = undefined
        this.#markLeft()
        return
      default:
    }
  }

  /** A command has failed, and the backup that it was for may have with it. */
  async #noteAborted(error: WireErrorData): Promise<void> {
    const led = this.#led
    if (led?.state.phase !== 'aborted') return
    this.#led = undefined
    await this.#endLed(led, error)
  }

  #startThread(): SessionThread {
    return new SessionThread(this.#context.threads, {
      onStarted: (backup) => this.#lead(backup),
      onLost: (error) => this.#lose(error),
      onNotice: (notice) => {
        this.#reply?.notice(notice)
        const { severity, message } = notice
        const backup = (this.#led ?? this.#joined)?.number
        if (backup !== undefined && severity === 'WARNING')
          this.#context.onEvent({ type: 'backup-warning', backup, message })
      },
    })
  }

  #lead(backup: BackupHandle): void {
    const { pid: connection, user } = this.#client
    this.#led = this.#context.backups.add(backup, { connection, user, label: this.#label })
  }

  #lose(error: WireErrorData): void {
    if (this.#led !== undefined) this.#abortLed(this.#led, error)
    this.end(error)
  }

  /** The session of a leader has ended: what it led, and did not complete, is over. */
  async #endLed(led: LedBackup, reason: WireErrorData): Promise<void> {
    this.#abortLed(led, reason)
    // The session has done this itself, unless its thread died.
    if (led.state.phase === 'aborted') await removeFragments(openBackup(led.handle))
  }

  /** Its sessions go no further, and nobody joins it. To one that is complete nothing is done. */
  #abortLed(led: LedBackup, reason: WireErrorData): void {
    const { backups } = this.#context
    if (!backups.running.includes(led)) return
    led.failure ??= reason
    led.state.move(['running', 'stopping', 'stopped'], 'aborted')
    backups.abort(led, reason)
  }

  /** Notes the failure of a command, and finds the words for the client. */
  #explain(error: unknown, command: string | undefined): WireErrorData {
    const data = toWireErrorData(error)
    this.#report(data, command)
    // A worker whose backup was aborted is told why.
    const joined = this.#joined
    const isAborted = data.sqlstate === sqlstates.queryCanceled && joined?.state.phase === 'aborted'
    return (isAborted ? joined.failure : undefined) ?? data
  }

  #report({ sqlstate, message, bug }: WireErrorData, command: string | undefined): void {
    if (bug !== undefined) this.#tell({ type: 'internal-error', stack: bug })
    const shown = withoutBackupIds(message)
    if (command === 'SEND_FILE' && sqlstate === sqlstates.insufficientPrivilege) {
      this.#tell({ type: 'file-refused', message: shown })
    } else {
      this.#tell({ type: 'command-failed', command, sqlstate, message: shown })
    }
  }

  #tell(event: EventOfConnection): void {
    this.#context.onEvent({ connection: this.#client.pid, ...event })
  }
}
