import { setTimeout } from 'node:timers/promises'
import { isPbManifestError } from '../../../errors.js'

const MAX_ATTEMPTS = 10
const PAUSE_MS = 10

/**
 * Reads something of pg_control, which a server writes in place: what is damaged may be half written, and is read again.
 *
 * @throws what `read` throws the last time
 */
export async function readControlFileWhileWritten<Result>(read: () => Result): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return read()
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !isPbManifestError(error) || error.code !== 'BAD_FILE') throw error
      await setTimeout(PAUSE_MS)
    }
  }
}
