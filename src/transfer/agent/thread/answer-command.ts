import { throwIfAborted } from '../../../files/give-way.js'
import type { SentFileEvent } from '../../commands/command-results.js'
import type { ReplicationCommand, SessionCommand } from '../../commands/replication-command.js'
import type { BackupSession } from '../../session/backup-session.js'
import { packRows } from './packed-rows.js'
import { makeResultRows, type RowCommand } from './result-rows.js'
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
  command: SessionCommand,
  output: AnswerOutput,
  signal: AbortSignal,
): Promise<void> {
  switch (command.command) {
    case 'SEND_FILE':
      return await sendFiles(await session.run(command, signal), output.sender, signal)
    case 'BUILD_MANIFEST':
      return await sendManifest(await session.run(command, signal), output.sender, signal)
    case 'LEAVE_BACKUP':
    case 'ABORT_BACKUP':
      await session.run(command, signal)
      return
    default:
      await sendRows(session, command, output, signal)
  }
}

async function sendRows<Name extends Exclude<RowCommand, 'LIST_BACKUPS'>>(
  session: BackupSession,
  command: ReplicationCommand<Name>,
  { post }: AnswerOutput,
  signal: AbortSignal,
): Promise<void> {
  const result = await session.run(command, signal)
  // A list may have taken its time.
  throwIfAborted(signal)
  const { columns, rows } = makeResultRows(command.command, result)
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
