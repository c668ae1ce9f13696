import { throwIfAborted } from '../../../files/give-way.js'
import type { CommandResults, SentFileEvent } from '../../commands/command-results.js'
import type { SessionCommand } from '../../commands/replication-command.js'
import type { BackupSession } from '../../session/backup-session.js'
import { packRows } from './packed-rows.js'
import { isRowCommand, makeResultRows, type RowCommand } from './result-rows.js'
import type { MessageFromSession } from './session-messages.js'
import type { StreamSender } from './stream-sender.js'

/** Where an answer goes. */
export interface AnswerOutput {
  readonly post: (message: MessageFromSession) => void
  readonly sender: StreamSender
}

/** Runs a command and sends all that it is answered with, but for the end. */
export async function answerCommand(
  session: BackupSession,
  name: SessionCommand['command'],
  text: string,
  output: AnswerOutput,
  signal: AbortSignal,
): Promise<void> {
  if (isRowCommand(name)) {
    const result = await session.run(name, text, signal)
    // A list may have taken its time.
    throwIfAborted(signal)
    postRows(name, result, output)
  } else if (name === 'SEND_FILE') {
    await sendFiles(await session.run(name, text, signal), output.sender, signal)
  } else if (name === 'BUILD_MANIFEST') {
    await sendManifest(await session.run(name, text, signal), output.sender, signal)
  } else {
    await session.run(name, text, signal)
  }
}

function postRows<Name extends RowCommand>(
  name: Name,
  result: CommandResults[Name],
  { post }: AnswerOutput,
): void {
  const { columns, rows } = makeResultRows(name, result)
  post({ type: 'rows', columns, rows: packRows(columns.length, rows) })
}

/** Of each file a COPY with its bytes, and a tag that says what else there is to know of it. */
async function sendFiles(
  events: AsyncIterable<SentFileEvent>,
  sender: StreamSender,
  signal: AbortSignal,
): Promise<void> {
  let file: Extract<SentFileEvent, { type: 'file' }> | undefined
  for await (const event of events) {
    switch (event.type) {
      case 'file':
        file = event
        await sender.add({ type: 'begin' }, signal)
        break
      case 'bytes':
        await sender.addBytes(event.bytes, signal)
        break
      case 'end':
        if (file === undefined) throw new Error('the end of a file that has not begun')
        await sender.add({ type: 'end', tag: formatSentFile({ ...file, ...event }) }, signal)
        break
      case 'vanished':
        await sender.add({ type: 'nothing', tag: 'SEND_FILE vanished' }, signal)
        break
      default:
        event satisfies never
    }
  }
  sender.flush()
}

interface SentFile {
  readonly size: number
  readonly modified: number
  readonly checksum: string | undefined
  readonly throttledMs: number
}

function formatSentFile({ size, modified, checksum, throttledMs }: SentFile): string {
  return `SEND_FILE ${size} ${modified} ${checksum ?? '-'} ${Math.round(throttledMs)}`
}

async function sendManifest(
  pieces: AsyncIterable<Buffer>,
  sender: StreamSender,
  signal: AbortSignal,
): Promise<void> {
  await sender.add({ type: 'begin' }, signal)
  for await (const piece of pieces) await sender.addBytes(piece, signal)
  await sender.add({ type: 'end', tag: 'BUILD_MANIFEST' }, signal)
  sender.flush()
}
