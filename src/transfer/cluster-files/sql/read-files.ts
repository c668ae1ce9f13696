import { isPbManifestError } from '../../../errors.js'
import type { FileEvent, RequestedFile } from '../cluster-files.js'
import { BinaryCopyParser } from './binary-copy-parser.js'
import { FileAssembler } from './file-assembler.js'
import { planReads, QUERY_BYTES } from './plan-reads.js'
import { READ_COLUMNS, readQuery } from './read-query.js'
import type { RenewableConnection } from './renewable-connection.js'
import { isRecoveryConflict, MOST_CONFLICTS } from './sql-error.js'

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

async function* readBatch(
  connection: RenewableConnection,
  files: readonly RequestedFile[],
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent, void, undefined> {
  const assembler = new FileAssembler(files, QUERY_BYTES)
  let conflicts = 0
  for (let step = assembler.nextStep(); step !== undefined; step = assembler.nextStep()) {
    const parser = new BinaryCopyParser(READ_COLUMNS, assembler)
    try {
      for await (const pieces of connection.current.copyOut(readQuery(step), signal)) {
        for (const piece of pieces) parser.push(piece)
        for (const event of assembler.takeEvents()) {
          conflicts = 0
          yield event
        }
      }
      parser.end()
      assembler.requireProgress()
    } catch (error) {
      // A standby cancels queries that are in the way of replay; what was not read yet can be read by another. Sometimes it
      // ends the connection as well, which may show only later.
      if (!isPbManifestError(error) || !isRecoveryConflict(error) || ++conflicts > MOST_CONFLICTS) throw error
      await connection.renew()
    }
  }
}
