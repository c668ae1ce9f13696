import { connect } from '../src/transfer/connection/connect.js'
import { readConnectionEnvironment } from '../src/transfer/connection/connection-environment.js'
import { isPasswordMissing } from '../src/transfer/connection/connection-failure.js'
import type { ConnectionOptions } from '../src/transfer/connection/connection-options.js'
import { type ConnectionSettings, resolveConnection } from '../src/transfer/connection/resolve-connection.js'
import { askPassword } from './ask-password.js'
import type { Messages } from './messages.js'
import { usageError } from './usage-error.js'
import { withoutUndefined } from './without-undefined.js'

/** The connection options as the command line has them. */
export interface ConnectionValues {
  readonly dbname: string | undefined
  readonly host: string | undefined
  readonly port: string | undefined
  readonly username: string | undefined
  readonly 'no-password': boolean | undefined
  readonly password: boolean | undefined
}

/** What this needs of the world outside. */
export interface ConnectionContext {
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly messages: Messages
  readonly signal: AbortSignal
}

/**
 * Works out how to connect, as PostgreSQL's programs do, and tries it once: only the server knows whether there has to be
 * a password, which is then asked for.
 *
 * @throws {@link PbManifestError} `USAGE`, `SERVER`, `IO`
 */
export async function prepareConnection(
  values: ConnectionValues,
  context: ConnectionContext,
): Promise<ConnectionOptions> {
  const settings = withoutUndefined({
    conninfo: values.dbname,
    host: values.host,
    port: values.port,
    user: values.username,
  })
  if (values.password === true) {
    const password = await askPassword()
    if (password === undefined) throw usageError('cannot ask for a password: there is no terminal')
    return resolveSettings({ ...settings, password }, context)
  }
  const options = resolveSettings(settings, context)
  try {
    await tryConnection(options, context.signal)
    return options
  } catch (error) {
    if (!isPasswordMissing(error) || values['no-password'] === true) throw error
    const password = await askPassword()
    if (password === undefined) throw error
    return resolveSettings({ ...settings, password }, context)
  }
}

/** Works out how to connect, without trying it. */
export function resolveSettings(
  settings: ConnectionSettings,
  { env, messages }: Pick<ConnectionContext, 'env' | 'messages'>,
): ConnectionOptions {
  const { options, warnings } = resolveConnection(settings, readConnectionEnvironment(env))
  for (const warning of warnings) messages.warning(warning)
  return options
}

async function tryConnection(options: ConnectionOptions, signal: AbortSignal): Promise<void> {
  const client = await connect(options, { signal })
  await client.end()
}
