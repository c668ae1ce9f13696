import { isPbManifestError, PbManifestError } from '../../../errors.js'
import type { SqlConnection } from './sql-connection.js'

const INTERVAL_MS = 5000

/**
 * Looks now and then whether the standby that is backed up still is one: its promotion ends the backup, which its own
 * functions say only when the backup is stopped, maybe hours later.
 */
export class PromotionWatch {
  readonly #connection: SqlConnection
  readonly #report: (error: PbManifestError) => void
  #timer: NodeJS.Timeout | undefined
  #look: Promise<void> | undefined

  constructor(connection: SqlConnection, report: (error: PbManifestError) => void) {
    this.#connection = connection
    this.#report = report
    this.#timer = setInterval(() => {
      this.#look ??= this.#lookOnce()
    }, INTERVAL_MS)
    this.#timer.unref()
  }

  /** Resolves when the connection is free again. */
  async end(): Promise<void> {
    clearInterval(this.#timer)
    await this.#look
  }

  async #lookOnce(): Promise<void> {
    try {
      const [row] = await this.#connection.rows<{ recovery: boolean }>(
        'SELECT pg_catalog.pg_is_in_recovery() AS recovery',
      )
      if (row?.recovery === false) this.#report(promoted())
    } catch (error) {
      if (isPbManifestError(error)) this.#report(error)
    } finally {
      this.#look = undefined
    }
  }
}

/** In the server's words. @see src/backend/access/transam/xlog.c (`do_pg_backup_stop`) */
function promoted(): PbManifestError {
  return new PbManifestError('SERVER', 'the standby was promoted during online backup', {
    hint: 'This means that the backup being taken is corrupt and should not be used. Try taking another online backup.',
  })
}
