import type { RequestedFile } from '../../cluster-files/cluster-files.js'
import type { SentFileEvent } from '../../commands/command-results.js'
import { agentProtocolError } from './agent-error.js'
import type { Answer } from './backend-message.js'

/**
 * The files of SEND_FILE: for each one the data of a COPY and a CommandComplete, whose tag says what is known of it.
 *
 * @throws {@link PbManifestError} `SERVER` when there are not as many as were asked for, and what `answers` throws
 */
export async function* readSentFiles(
  files: readonly RequestedFile[],
  answers: AsyncIterable<readonly Answer[]>,
): AsyncGenerator<SentFileEvent, void, undefined> {
  let place = 0
  let isOpen = false
  for await (const batch of answers) {
    for (const answer of batch) {
      const pathname = files[place]?.pathname
      if (pathname === undefined) throw agentProtocolError('more files came than were asked for')
      const end = answer.type === 'complete' ? readSendFileTag(answer.tag) : undefined
      if (answer.type !== 'data' && end === undefined) continue
      if (end === 'vanished') {
        if (isOpen) throw agentProtocolError('a file came that had vanished')
        yield { type: 'vanished', pathname }
      } else {
        if (!isOpen) yield { type: 'file', pathname }
        isOpen = end === undefined
        if (answer.type === 'data') yield { type: 'bytes', bytes: answer.bytes }
        if (end !== undefined) yield end
      }
      if (end !== undefined) place++
    }
  }
  if (place !== files.length) throw agentProtocolError('fewer files came than were asked for')
}

const tags = /^SEND_FILE ([0-9]{1,16}) (-?[0-9]{1,15}) ([0-9a-f]{1,128}|-) ([0-9]{1,15})$/

/** Reads `SEND_FILE <bytes> <modified> <checksum or -> <throttled ms>`, or `SEND_FILE vanished`. */
export function readSendFileTag(tag: string): Extract<SentFileEvent, { type: 'end' }> | 'vanished' {
  if (tag === 'SEND_FILE vanished') return 'vanished'
  const [, size, modified, checksum, throttledMs] = tags.exec(tag) ?? []
  if (size === undefined) throw agentProtocolError(`"${tag}" is no end of a file`)
  return {
    type: 'end',
    size: Number(size),
    modified: Number(modified),
    checksum: checksum === '-' ? undefined : checksum,
    throttledMs: Number(throttledMs),
  }
}
