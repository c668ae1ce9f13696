import type { MessagePort } from 'node:worker_threads'
import { type CopyContext, copyFiles } from './copy-files.js'
import {
  toErrorData,
  type MessageFromWorker,
  type StartWorker,
  type MessageToWorker,
} from './worker-messages.js'
import { FirstFailure } from './first-failure.js'
import { ReceivedChecksums } from './received-checksums.js'
import type { OpenOptions } from './source/source.js'
import { openFileSink } from '../../target/backup-target.js'
import { WorkerCounters } from './worker-counters.js'
import { WorkerSession } from './worker-session.js'
import { Inbox } from '../../threads/wake-up.js'

/** Copies files as the leader says, until that says that there is no more, or to stop. */
export async function runWorker(port: MessagePort): Promise<void> {
  const inbox = new WorkerInbox(port)
  const failure = new FirstFailure(inbox.signal)
  const post = (message: MessageFromWorker): void => port.postMessage(message)
  let session: WorkerSession | undefined
  try {
    const { start } = await failure.waitFor(inbox.nextOf('start'))
    session = await WorkerSession.open(start.server, {
      fragmentDirectory: start.fragmentDirectory,
      onNotice: (notice) => post({ type: 'notice', notice }),
      onLost: (error) => failure.report(error),
      retries: retriesOf(start, post),
      signal: failure.signal,
    })
    post({ type: 'ready', pid: session.pid })
    // While the others wait for the checkpoint.
    const checksums = await ReceivedChecksums.load(start.checksumAlgorithm, 'much')
    const { backup } = await failure.waitFor(inbox.nextOf('join'))
    await failure.waitFor(session.join(backup))
    post({ type: 'joined' })
    await copyUntilFinished(start, { session, checksums, inbox, failure, post })
    post({ type: 'finished' })
  } catch (error) {
    failure.report(error)
    // At once: the others should not go on for nothing.
    post({ type: 'failed', error: toErrorData(failure.error) })
    await session?.abort()
  } finally {
    failure.close()
    inbox.close()
  }
}

/** What a worker does about a lost connection. */
function retriesOf(
  { retries, worker, counters }: StartWorker,
  post: (message: MessageFromWorker) => void,
): OpenOptions['retries'] {
  if (retries === 0) return undefined
  return {
    limit: retries,
    onReconnect: ({ message }, attempt) => {
      new WorkerCounters(counters).addReconnect(worker)
      const again = `worker ${worker} has connected again, attempt ${attempt} of ${retries}`
      post({ type: 'notice', notice: { severity: 'WARNING', message: `${again}: ${message}` } })
    },
  }
}

interface WorkerParts {
  readonly session: WorkerSession
  readonly checksums: ReceivedChecksums | undefined
  readonly inbox: WorkerInbox
  readonly failure: FirstFailure
  readonly post: (message: MessageFromWorker) => void
}

async function copyUntilFinished(
  start: StartWorker,
  { session, checksums, inbox, failure, post }: WorkerParts,
): Promise<void> {
  const { worker } = start
  const counters = new WorkerCounters(start.counters)
  const sink = openFileSink(start.files, failure.signal)
  const context: CopyContext = {
    get session() {
      return session.current
    },
    sink,
    verifyPageChecksums: start.verifyPageChecksums,
    checksums,
    onBytes: (bytes) => counters.addBytes(worker, bytes),
    onFile: () => {
      counters.addFile(worker)
      session.countReceived()
    },
    onTime: (activity, milliseconds) => counters.addTime(worker, activity, milliseconds),
    onFailure: (error) => session.replace(error),
    signal: failure.signal,
  }
  for (;;) {
    const waitedFrom = performance.now()
    const task = await failure.waitFor(inbox.next())
    counters.addTime(worker, 'idle', performance.now() - waitedFrom)
    if (task.type === 'copy') {
      post({ type: 'copied', ...(await failure.waitFor(copyFiles(context, task.files))) })
    } else if (task.type === 'leave-backup') {
      await failure.waitFor(session.finish())
      post({ type: 'left' })
    } else break
  }
  const syncedFrom = performance.now()
  await sink.finish(failure.signal)
  counters.addTime(worker, 'syncing', performance.now() - syncedFrom)
}

/** What a worker has to do. */
type Task = Exclude<MessageToWorker, { type: 'stop' | 'leave' }>

/** The messages that the leader sends to a worker. `stop` and `leave` do not wait in line: they fire a signal. */
class WorkerInbox {
  readonly #port: MessagePort
  readonly #controller = new AbortController()
  readonly #tasks = new Inbox<Task>()

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (message: MessageToWorker) => this.#accept(message))
  }

  /** Fires when the leader says to stop. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Waits for the next task; when the worker is to stop, perhaps in vain. */
  async next(): Promise<Task> {
    return await this.#tasks.next()
  }

  /** Waits for the next task, which has to be of this type. */
  async nextOf<Type extends Task['type']>(type: Type): Promise<Extract<Task, { type: Type }>> {
    const task = await this.next()
    if (task.type !== type) throw new Error(`a worker was sent "${task.type}" where "${type}" was due`)
    return task as Extract<Task, { type: Type }>
  }

  /** Without it the thread would wait for messages forever. */
  close(): void {
    this.#port.close()
  }

  #accept(message: MessageToWorker): void {
    if (message.type === 'stop' || message.type === 'leave') this.#controller.abort()
    else this.#tasks.push(message)
  }
}
