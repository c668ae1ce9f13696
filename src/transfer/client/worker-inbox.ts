import type { MessagePort } from 'node:worker_threads'
import { Inbox } from '../../threads/wake-up.js'
import type { MessageToWorker } from './worker-messages.js'

/** What a worker has to do. */
export type Task = Exclude<MessageToWorker, { type: 'stop' | 'leave' }>

/** The messages that the leader sends to a worker. `stop` and `leave` do not wait in line: they fire a signal. */
export class WorkerInbox {
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
