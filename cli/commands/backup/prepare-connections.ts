import { isPbManifestError, PbManifestError } from '../../../src/errors.js'
import type { BackupOptions, WalMethod } from '../../../src/transfer/client/options.js'
import { tryConnection } from '../../../src/transfer/connection/connect.js'
import {
  readConnectionEnvironment,
  resolveConnection,
  type ResolvedConnection,
} from '../../../src/transfer/connection/settings/resolve-connection.js'
import { isDatabaseMissing, isPasswordMissing } from '../../../src/transfer/connection/connection-failure.js'
import type { ConnectionOptions } from '../../../src/transfer/connection/settings/connection-options.js'
import { connectAgent } from '../../../src/transfer/connection/gate/connect-agent.js'
import { endConnection } from '../../../src/transfer/connection/pg-connection.js'
import { resolveAgent } from '../../../src/transfer/connection/settings/resolve-agent.js'
import { askPassword } from './ask-password.js'
import type { ConnectionValues } from './backup-options.js'
import type { Messages } from '../../messages.js'
import { readIoSeconds, readOptional } from '../../option-values.js'
import type { CommandContext } from '../command.js'
import { usageError } from '../../usage-error.js'
import { withoutUndefined } from '../../without-undefined.js'

type ConnectionContext = Pick<CommandContext, 'env' | 'messages' | 'signal'>

/**
 * Works out how to connect, as PostgreSQL's programs do, and tries it once where the backup will connect: only the server
 * knows whether there has to be a password, which is then asked for.
 *
 * @throws {@link PbManifestError} `USAGE`, `SERVER`, `IO`
 */
export async function prepareConnections(
  values: ConnectionValues,
  walMethod: WalMethod | undefined,
  context: ConnectionContext,
): Promise<Pick<BackupOptions, 'connection' | 'agent'>> {
  if (values.agent === undefined) {
    return { connection: await prepareDatabase(values, context) }
  }
  const agent = agentOf(values, values.agent, context)
  if (walMethod === 'stream') {
    return {
      agent: await prepare(agent, { ...values, password: false }, context),
      connection: await prepare(walSourceOf(values, context), values, context),
    }
  }
  return {
    agent: await prepare(agent, values, context),
    connection: databaseOf(values, context).resolve(undefined),
  }
}

/** A server that there may have to be a password for. */
interface Peer {
  readonly prompt: string
  resolve(password: string | undefined): ConnectionOptions
  tryConnection(options: ConnectionOptions): Promise<void>
}

/** pg_basebackup connects to no database, so that one that it names, for `primary_conninfo`, need not be there. */
async function prepareDatabase(
  values: ConnectionValues,
  context: ConnectionContext,
): Promise<ConnectionOptions> {
  const named = databaseOf(values, context)
  try {
    return await prepare(named, values, context)
  } catch (error) {
    const { database, fallbackDatabases } = named.resolve(undefined)
    if (!isDatabaseMissing(error) || fallbackDatabases.length > 0) throw error
    context.messages.warning(`database "${database}" does not exist: another one is connected to`)
    return await prepare(databaseOf(values, context, { anyDatabase: true }), values, context)
  }
}

function databaseOf(
  values: ConnectionValues,
  context: ConnectionContext,
  { anyDatabase = false }: { readonly anyDatabase?: boolean } = {},
): Peer {
  const { dbname: conninfo, host, port, username: user } = values
  const ioTimeout = readIoTimeout(values)
  return {
    prompt: 'Password: ',
    resolve: (password) => {
      const settings = withoutUndefined({ conninfo, host, port, user, password, ioTimeout, anyDatabase })
      return warned(resolveConnection(settings, readConnectionEnvironment(context.env)), context.messages)
    },
    tryConnection: (options) => tryConnection(options, { signal: context.signal }),
  }
}

/** The database server where all but the stream of WAL comes from an agent. */
function walSourceOf(values: ConnectionValues, context: ConnectionContext): Peer {
  return {
    ...databaseOf(values, context),
    tryConnection: async (options) => {
      try {
        await tryConnection(options, { replication: 'true', signal: context.signal })
      } catch (error) {
        if (!isPbManifestError(error) || error.code !== 'SERVER') throw error
        const { code, message, details, cause } = error
        throw new PbManifestError(code, message, { details, cause, hint: walHint })
      }
    },
  }
}

const walHint =
  'The stream of WAL comes from the database server, which -d, -h and -p name; -X fetch does without it.'

function agentOf(
  values: ConnectionValues,
  agent: string,
  { env, messages, signal }: ConnectionContext,
): Peer {
  const ioTimeout = readIoTimeout(values)
  return {
    prompt: 'Password for the agent: ',
    resolve: (password) => {
      const settings = withoutUndefined({ user: values.username, password, ioTimeout })
      return warned(resolveAgent(agent, settings, readConnectionEnvironment(env)), messages)
    },
    tryConnection: async (options) => {
      await endConnection(await connectAgent(options, signal))
    },
  }
}

function readIoTimeout(values: ConnectionValues): number | undefined {
  return readOptional(readIoSeconds, '--io-timeout', values['io-timeout'])
}

async function prepare(
  peer: Peer,
  values: Pick<ConnectionValues, 'no-password' | 'password'>,
  { signal }: ConnectionContext,
): Promise<ConnectionOptions> {
  if (values.password === true) {
    const password = await askPassword(peer.prompt, signal)
    if (password === undefined) throw usageError('cannot ask for a password: there is no terminal')
    return peer.resolve(password)
  }
  const options = peer.resolve(undefined)
  try {
    await peer.tryConnection(options)
    return options
  } catch (error) {
    if (!isPasswordMissing(error) || values['no-password'] === true) throw error
    const password = await askPassword(peer.prompt, signal)
    if (password === undefined) throw error
    return peer.resolve(password)
  }
}

function warned({ options, warnings }: ResolvedConnection, messages: Messages): ConnectionOptions {
  for (const warning of warnings) messages.warning(warning)
  return options
}
