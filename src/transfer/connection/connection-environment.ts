import { homedir, userInfo } from 'node:os'

/** Where libpq looks for what the caller did not say. */
export interface ConnectionEnvironment {
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly homeDirectory: string
  /** The operating system's name of the user; `undefined`: it has none. */
  readonly userName: string | undefined
}

/**
 * Looks up what libpq takes from its surroundings, for `resolveConnection` and `resolveAgent`.
 *
 * @param variables - those of the process
 */
export function readConnectionEnvironment(
  variables: ConnectionEnvironment['variables'],
): ConnectionEnvironment {
  return { variables, homeDirectory: variables['HOME'] || homedir(), userName: readUserName() }
}

function readUserName(): string | undefined {
  try {
    return userInfo().username
  } catch {
    // A uid without an entry in the user database, as in some containers.
    return undefined
  }
}
