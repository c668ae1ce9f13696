import { once } from 'node:events'
import { parentPort, type TransferListItem } from 'node:worker_threads'

/** The first message that a thread is sent. */
export type StartMessage<Start> = { readonly type: 'start'; readonly start: Start } | LeaveMessage

/** There is nothing to do after all. */
export interface LeaveMessage {
  readonly type: 'leave'
}

/** Waits for what this thread is to do; `undefined` when that is nothing. */
export async function receiveStart(): Promise<unknown> {
  if (parentPort === null) return undefined
  const [message] = (await once(parentPort, 'message')) as [StartMessage<unknown>]
  return message.type === 'start' ? message.start : undefined
}

/** Sends a message to the thread that started this one. */
export function postToParent(message: unknown, transferList?: readonly TransferListItem[]): void {
  parentPort?.postMessage(message, transferList)
}
