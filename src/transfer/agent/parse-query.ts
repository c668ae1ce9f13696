import { isUtf8 } from 'node:buffer'
import { parseCommand } from '../commands/commands.js'
import type { ReplicationCommand } from '../commands/replication-command.js'
import { WireError } from '../wire/wire-error.js'
import { sqlstates } from './wire-error-data.js'

/**
 * Reads a query. A name that is not UTF-8 stands in it as an escape string; bytes that are not UTF-8 are refused, as by a
 * server whose encoding is UTF-8.
 *
 * @throws {@link WireError} or {@link CommandSyntaxError}
 */
export function parseQuery(bytes: Buffer): ReplicationCommand {
  if (!isUtf8(bytes)) {
    throw new WireError(sqlstates.badEncoding, 'invalid byte sequence for encoding "UTF8"', {
      hint: String.raw`Write bytes that are no text as E'\xNN'.`,
    })
  }
  return parseCommand(bytes.toString('utf8'))
}
