import { shortenText } from '../../../files/display-text.js'
import type { StartupPacket } from '../protocol/startup-packet.js'
import { WireError } from '../wire-error.js'

/** What a startup packet asks for. */
export interface StartupParameters {
  readonly user: string
  readonly database: string
  readonly parameters: ReadonlyMap<string, string>
  /** Options of the protocol that we do not know. */
  readonly unknownOptions: readonly string[]
}

const PROTOCOL_OPTION = '_pq_.'

/** A boolean as a server reads it: any beginning of a word that means only one of them. */
const replicationValue = /^(?:t|tr|tru|true|y|ye|yes|on|1|f|fa|fal|fals|false|n|no|of|off|0|database)$/i

/**
 * Reads the parameters of a startup packet. Connections for replication and others are the same to us.
 *
 * @throws {@link WireError} `FATAL`
 * @see ProcessStartupPacket in PostgreSQL's src/backend/tcop/backend_startup.c
 */
export function readStartupParameters({ parameters }: StartupPacket): StartupParameters {
  const user = parameters.get('user')
  if (user === undefined || user === '') {
    throw new WireError('28000', 'no PostgreSQL user name specified in startup packet', { severity: 'FATAL' })
  }
  requireReplicationValue(parameters.get('replication') ?? 'off')
  return {
    user,
    database: parameters.get('database') || user,
    parameters,
    unknownOptions: [...parameters.keys()].filter((name) => name.startsWith(PROTOCOL_OPTION)),
  }
}

function requireReplicationValue(value: string): void {
  if (replicationValue.test(value)) return
  throw new WireError('22023', `invalid value for parameter "replication": "${shortenText(value)}"`, {
    severity: 'FATAL',
    hint: 'Valid values are: "false", 0, "true", 1, "database".',
  })
}
