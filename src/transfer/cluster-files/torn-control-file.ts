import { setTimeout as sleep } from 'node:timers/promises'
import { isPbManifestError } from '../../errors.js'

/** As PostgreSQL's own tools do. @see src/common/controldata_utils.c (`get_controlfile`) */
const MOST_READS = 10
const PAUSE_MS = 10

/**
 * Reads something of pg_control, which a server writes in place: what is damaged may be half written, and is read again.
 *
 * @throws what `read` throws the last time
 */
export async function readControlFileWhileWritten<Result>(
  read: () => Result | Promise<Result>,
): Promise<Result> {
  for (let reads = 1; ; reads++) {
    try {
      return await read()
    } catch (error) {
      if (reads === MOST_READS || !isPbManifestError(error) || error.code !== 'BAD_FILE') throw error
      await sleep(PAUSE_MS)
    }
  }
}
