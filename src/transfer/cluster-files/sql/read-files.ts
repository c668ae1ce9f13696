import { parseControlFile } from '../../../postgres/control-file.js'
import type { FileEvent, RequestedFile } from '../cluster-files.js'
import { readControlFileWhileWritten } from '../../../manifest/data-directory-files.js'
import { BinaryCopyParser } from './binary-copy-parser.js'
import { FileAssembler } from './file-assembler.js'
import { planReads, QUERY_BYTES, READ_COLUMNS, readQuery } from './read-steps.js'
import type { RenewableConnection } from './renewable-connection.js'
import { RecoveryConflicts } from './sql-error.js'

/**
 * Reads files whole, in their order.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function* readFiles(
  connection: RenewableConnection,
  files: readonly RequestedFile[],
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent, void, undefined> {
  for (const batch of planReads(files)) yield* readBatch(connection, batch, signal)
}

/**
 * Reads pg_control, until it is not torn.
 *
 * @throws {@link PbManifestError} `BAD_FILE` when it stays wrong; `SERVER` or `ABORTED`
 */
export async function* copyControlFile(
  connection: RenewableConnection,
  file: RequestedFile,
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent, void, undefined> {
  yield* await readControlFileWhileWritten(async () => {
    const events: FileEvent[] = []
    for await (const event of readFiles(connection, [file], signal)) events.push(event)
    const bytes = Buffer.concat(events.flatMap((event) => (event.type === 'bytes' ? [event.bytes] : [])))
    parseControlFile(bytes, file.pathname)
    return events
  })
}

async function* readBatch(
  connection: RenewableConnection,
  files: readonly RequestedFile[],
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent, void, undefined> {
  const assembler = new FileAssembler(files, QUERY_BYTES)
  const conflicts = new RecoveryConflicts()
  for (let step = assembler.nextStep(); step !== undefined; step = assembler.nextStep()) {
    const parser = new BinaryCopyParser(READ_COLUMNS, assembler)
    try {
      for await (const pieces of connection.current.copyOut(readQuery(step), signal)) {
        for (const piece of pieces) parser.push(piece)
        for (const event of assembler.takeEvents()) {
          conflicts.forget()
          connection.goesOn()
          yield event
        }
      }
      parser.end()
      assembler.requireProgress()
    } catch (error) {
      // A standby cancels queries that are in the way of replay; what was not read yet can be read by another. Sometimes it
      // ends the connection as well, which may show only later. After the loss of a connection the next byte is due, too.
      if (conflicts.allowRetry(error)) await connection.renew()
      else await connection.replaceLost(error)
    }
  }
}
