import {
  type ConnectionSettings,
  resolveConnection,
  type ResolvedConnection,
} from '../../../../src/transfer/connection/settings/resolve-connection.js'

/** Resolves in an environment that holds nothing but what the test puts there. */
export function resolve(
  settings: ConnectionSettings,
  variables: Readonly<Record<string, string>> = {},
  homeDirectory = '/nonexistent',
): ResolvedConnection {
  return resolveConnection(settings, {
    variables: { PGSYSCONFDIR: '/nonexistent', ...variables },
    homeDirectory,
    userName: 'somebody',
  })
}
