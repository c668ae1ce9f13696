import type { NetworkCredentials } from '../src/transfer/agent/agent-options.js'
import { readTlsFiles } from '../src/transfer/agent/listen/read-tls-files.js'
import { readUsersFile } from '../src/transfer/agent/listen/read-users-file.js'
import type { NetworkSettings } from './serve-options.js'

/**
 * Reads the files that say who comes in over TCP: at the start, and again at SIGHUP.
 *
 * @throws {@link PbManifestError} `USAGE` or `IO`
 */
export function readCredentials({ usersFile, tls }: NetworkSettings): NetworkCredentials {
  return {
    users: usersFile === undefined ? undefined : readUsersFile(usersFile),
    tls: tls && readTlsFiles(tls.certificate, tls.key),
  }
}
