import { getHeapStatistics } from 'node:v8'
import type { MessagePort } from 'node:worker_threads'
import { PbManifestError } from '../../../errors.js'
import { throwIfAborted } from '../../../files/yielder.js'
import { LocalClusterFiles } from '../../cluster-files/local/local-cluster-files.js'
import { commandContracts } from '../../commands/commands.js'
import { RefusedError } from '../../commands/refused-error.js'
import type { SessionCommand, SessionCommandName } from '../../commands/replication-command.js'
import { ReplicationSession } from '../../session/replication-session.js'
import { Inbox } from '../../../threads/wake-up.js'
import { ThreadError, toWireErrorData, type WireErrorData } from '../wire-error-data.js'
import { AgentBackupMode } from './agent-backup-mode.js'
import { packRows } from './packed-rows.js'
import type { MessageFromSession, MessageToSession, StartSession } from './session-messages.js'
import { StreamSender } from './stream-sender.js'

type RunMessage = Extract<MessageToSession, { type: 'run' }>

/** What waits for the database server: nothing but the end of the session ends that. */
const waitingCommands: ReadonlySet<string> = new Set([
  'IDENTIFY_CLUSTER',
  'FIND_WAL_SENDER',
  'UPLOAD_MANIFEST',
  'START_BACKUP',
  'STOP_BACKUP',
])

/** After these the session is over, and the next command of the connection begins another one. */
const endingCommands: ReadonlySet<string> = new Set(['LEAVE_BACKUP', 'ABORT_BACKUP'])

/** After these, it is over when they fail. */
const lastCommands: ReadonlySet<string> = new Set(['STOP_BACKUP', ...endingCommands])

/** Runs the commands of one connection after another, in a thread, and answers with messages. */
export class SessionRunner {
  readonly #start: StartSession
  readonly #port: MessagePort
  readonly #sender: StreamSender
  #session: ReplicationSession | undefined
  /** What the command that runs may join. */
  #joinable: Pick<RunMessage, 'backup' | 'worker'> | undefined
  /** Of the command that runs. */
  #cancel = new AbortController()
  #running: Promise<void> = Promise.resolve()
  readonly #inputs = new Inbox<Extract<MessageToSession, { type: 'input' }>>()

  constructor(start: StartSession, port: MessagePort) {
    this.#start = start
    this.#port = port
    this.#sender = new StreamSender(start.pieces, (piece, parts) =>
      this.#post({ type: 'stream', piece, parts }),
    )
  }

  /** Obeys messages, until one says that this is the end of the thread. */
  start(): void {
    this.#port.on('message', (message: MessageToSession) => this.#accept(message))
  }

  #accept(message: MessageToSession): void {
    switch (message.type) {
      case 'run':
        this.#running = this.#run(message)
        return
      case 'cancel':
        this.#cancel.abort()
        return this.#sender.wake()
      case 'taken':
        return this.#sender.release(message.piece)
      case 'input':
        return this.#inputs.push(message)
      case 'end':
        void this.#end(message.how)
        return
      case 'exit':
        return this.#port.close()
      default:
        message satisfies never
    }
  }

  async #run(message: RunMessage): Promise<void> {
    this.#cancel = new AbortController()
    try {
      this.#session ??= await this.#openSession()
      await this.#answer(this.#session, message, this.#cancel.signal)
      if (endingCommands.has(message.command.command)) this.#session = undefined
      this.#post({ type: 'done' })
    } catch (error) {
      this.#sender.discard()
      this.#post({ type: 'failed', error: toWireErrorData(error) })
    }
  }

  async #openSession(): Promise<ReplicationSession> {
    const { dataDirectory, server, fragmentDirectory } = this.#start
    const files = await LocalClusterFiles.open(dataDirectory)
    const mode = new AgentBackupMode(server, dataDirectory, (notice) =>
      this.#post({ type: 'notice', notice }),
    )
    const session = new ReplicationSession({
      files,
      mode,
      registry: {
        add: (backup) => this.#post({ type: 'started', backup }),
        get: (backupId) => {
          const backup = this.#joinable?.backup
          return backup?.description.id === backupId ? backup : undefined
        },
        placeOf: () => this.#joinable?.worker,
      },
      fragmentDirectory,
      onNotice: (notice) => this.#post({ type: 'notice', notice }),
    })
    void mode.lost.then((error) => this.#lose(session, error))
    return session
  }

  async #answer(
    session: ReplicationSession,
    { command, backup, worker }: RunMessage,
    signal: AbortSignal,
  ): Promise<void> {
    this.#joinable = { backup, worker }
    const cancel = waitingCommands.has(command.command) ? (): void => void session.abort() : undefined
    if (cancel !== undefined) signal.addEventListener('abort', cancel, { once: true })
    try {
      const complete =
        command.command === 'UPLOAD_MANIFEST' ? { ...command, manifest: this.#pullInput() } : command
      await this.#answerWith(session, complete, signal)
    } catch (error) {
      await this.#giveUp(session, command.command, error, signal)
      throw signal.aborted ? cancelled(error) : error
    } finally {
      if (cancel !== undefined) signal.removeEventListener('abort', cancel)
    }
  }

  /** What the client sends with its command, piece by piece. */
  async *#pullInput(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      this.#post({ type: 'pull' })
      const { bytes, error } = await this.#inputs.next()
      if (error !== undefined) throw new ThreadError(error)
      if (bytes === undefined) return
      yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    }
  }

  /** Sends all that a command is answered with, but for the end. */
  async #answerWith<Name extends SessionCommandName>(
    session: ReplicationSession,
    command: SessionCommand<Name>,
    signal: AbortSignal,
  ): Promise<void> {
    const result = await session.run(command, signal)
    await commandContracts[command.command].result.encode(result, {
      rows: (columns, rows) => {
        // A list may have taken its time.
        throwIfAborted(signal)
        this.#post({ type: 'rows', columns, rows: packRows(columns.length, rows) })
      },
      part: (part) =>
        part.type === 'bytes' ? this.#sender.addBytes(part.bytes, signal) : this.#sender.add(part, signal),
    })
    this.#sender.flush()
  }

  /** Ends a session in which nothing can be done any more after this failure. */
  async #giveUp(
    session: ReplicationSession,
    name: SessionCommandName,
    error: unknown,
    signal: AbortSignal,
  ): Promise<void> {
    const isOver = lastCommands.has(name) && !(error instanceof RefusedError)
    if (!isOver && !(signal.aborted && waitingCommands.has(name))) return
    // After a stop that failed, the server may still be in backup mode.
    await session.abort()
    this.#session = undefined
  }

  /** The backup is lost: its workers need not go on. Whoever has the connection ends that. */
  async #lose(session: ReplicationSession, error: PbManifestError): Promise<void> {
    if (session !== this.#session) return
    this.#post({ type: 'lost', error: toWireErrorData(error) })
    await session.abort()
  }

  async #end(how: 'finish' | 'abort'): Promise<void> {
    let failure: WireErrorData | undefined
    this.#cancel.abort()
    this.#sender.wake()
    try {
      await this.#session?.[how]()
    } catch (error) {
      failure = toWireErrorData(error)
    }
    await this.#running
    this.#session = undefined
    this.#joinable = undefined
    this.#post({ type: 'ended', error: failure, heapBytes: getHeapStatistics().total_heap_size })
  }

  #post(message: MessageFromSession): void {
    // Long lists change hands.
    this.#port.postMessage(message, message.type === 'rows' ? [message.rows.bytes.buffer] : [])
  }
}

function cancelled(cause: unknown): PbManifestError {
  return new PbManifestError('ABORTED', 'canceling statement due to user request', { cause })
}
