import { randomBytes } from 'node:crypto'
import {
  readControlFileWhileWritten,
  readMockAuthenticationNonce,
} from '../../../src/manifest/data-directory-files.js'
import type { NetworkCredentials } from '../../../src/transfer/agent/agent.js'
import { readTlsFiles } from '../../../src/transfer/agent/listen/read-tls-files.js'
import { readUsersFile } from '../../../src/transfer/agent/listen/read-users-file.js'
import type { NetworkSettings } from './serve-options.js'

const SALT_KEY_BYTES = 32

/**
 * What the salts of users that are in no users file are made from: the secret that the server itself has for that. It
 * stays what it is when users change and when the agent is started again, and a standby has the same.
 *
 * @throws {@link PbManifestError} `IO` or `BAD_FILE`
 */
export async function readSaltKey(dataDirectory: string): Promise<Uint8Array> {
  const nonce = await readControlFileWhileWritten(() => readMockAuthenticationNonce(dataDirectory))
  // pg_resetwal leaves none when it had to guess.
  const isSecret = nonce?.some((byte) => byte !== 0) === true
  return isSecret ? nonce : randomBytes(SALT_KEY_BYTES)
}

/**
 * Reads the files that say who comes in over TCP: at the start, and again at SIGHUP.
 *
 * @throws {@link PbManifestError} `USAGE` or `IO`
 */
export function readCredentials(
  { usersFile, tls }: NetworkSettings,
  saltKey: Uint8Array,
): NetworkCredentials {
  return {
    users: usersFile === undefined ? undefined : readUsersFile(usersFile, saltKey),
    tls: tls && readTlsFiles(tls.certificate, tls.key),
  }
}
