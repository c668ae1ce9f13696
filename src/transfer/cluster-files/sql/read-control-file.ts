import { setTimeout as sleep } from 'node:timers/promises'
import { isPbManifestError } from '../../../errors.js'
import { parseControlFile } from '../../../postgres/control-file.js'
import type { FileEvent, RequestedFile } from '../cluster-files.js'
import { readFiles } from './read-files.js'
import type { RenewableConnection } from './renewable-connection.js'

export const CONTROL_FILE = 'global/pg_control'

/** As PostgreSQL's own tools do. @see src/common/controldata_utils.c (`get_controlfile`) */
const MOST_READS = 10
const MILLISECONDS_BETWEEN = 10

/**
 * Reads pg_control, again when it was torn: the server writes it in place.
 *
 * @throws {@link PbManifestError} `BAD_FILE` when it stays wrong; `SERVER` or `ABORTED`
 */
export async function* readControlFile(
  connection: RenewableConnection,
  file: RequestedFile,
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent, void, undefined> {
  for (let reads = 1; ; reads++) {
    const events: FileEvent[] = []
    for await (const event of readFiles(connection, [file], signal)) events.push(event)
    const bytes = Buffer.concat(events.flatMap((event) => (event.type === 'bytes' ? [event.bytes] : [])))
    try {
      parseControlFile(bytes, file.pathname)
    } catch (error) {
      if (!isPbManifestError(error) || reads === MOST_READS) throw error
      await sleep(MILLISECONDS_BETWEEN)
      continue
    }
    yield* events
    return
  }
}
