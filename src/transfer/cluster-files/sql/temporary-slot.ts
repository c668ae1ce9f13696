import { randomBytes } from 'node:crypto'
import { PbManifestError } from '../../../errors.js'
import { parseLsn } from '../../../postgres/lsn.js'
import { type Connect, SqlConnection } from './sql-connection.js'

/**
 * A temporary physical replication slot, which keeps the WAL that a backup needs. It has a connection of its own, because
 * any error of SQL drops the temporary slots of its session.
 */
export class TemporarySlot {
  readonly name: string
  /** From where on WAL is kept. */
  readonly restartLsn: bigint
  readonly #connection: SqlConnection

  private constructor(connection: SqlConnection, name: string, restartLsn: bigint) {
    this.#connection = connection
    this.name = name
    this.restartLsn = restartLsn
  }

  /** Makes a slot with a name that nobody else has. @throws {@link PbManifestError} `SERVER` */
  static async create(connect: Connect): Promise<TemporarySlot> {
    const connection = await SqlConnection.open(connect)
    try {
      const name = `pbmanifest_${randomBytes(8).toString('hex')}`
      const [row] = await connection.rows<{ lsn: string }>(
        'SELECT lsn::text FROM pg_create_physical_replication_slot($1, true, true)',
        [name],
      )
      const restartLsn = parseLsn(row?.lsn ?? '')
      if (restartLsn === undefined) throw new PbManifestError('SERVER', `slot "${name}" keeps no WAL`)
      return new TemporarySlot(connection, name, restartLsn)
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  /** Resolves with the reason when the slot is lost before {@link close}; else it never does. */
  get lost(): Promise<PbManifestError> {
    return this.#connection.lost
  }

  /** Drops the slot. Safe to call more than once. */
  async close(): Promise<void> {
    // The end of the connection drops it too, but nobody would know when.
    await this.#connection.rows('SELECT pg_drop_replication_slot($1)', [this.name]).catch(() => {})
    await this.#connection.close()
  }
}
