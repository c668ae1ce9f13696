import { statSync } from 'node:fs'
import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { readSmallFile } from '../../../files/read-small-file.js'
import { ioError } from '../../../files/system-error.js'
import { parseScramVerifier, ScramUsers, type ScramVerifier } from '../../wire/scram/scram-users.js'

const MAX_BYTES = 1 << 20

/**
 * Reads the users that may connect: lines of `user:SCRAM-SHA-256$…`, with empty lines and comments (`#`). What stands behind the
 * colon is `rolpassword` of pg_authid. Like a private key, the file must be its owner's alone.
 *
 * @param saltKey - see {@link ScramUsers}
 * @throws {@link PbManifestError} `USAGE` or `IO`, without repeating a verifier
 */
export function readUsersFile(path: string, saltKey: Uint8Array): ScramUsers {
  const bytes = readSmallFile(path, MAX_BYTES)
  if (bytes === undefined)
    throw new PbManifestError('IO', `could not open file "${path}": No such file or directory`)
  requirePrivate(path)
  const verifiers = new Map<string, ScramVerifier>()
  for (const [index, line] of bytes.toString('utf8').split('\n').entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue
    const { user, verifier } = parseLine(line.trim(), path, index + 1)
    if (verifiers.has(user)) throw badLine(path, index + 1, `user "${user}" is there twice`)
    verifiers.set(user, verifier)
  }
  if (verifiers.size === 0) throw new PbManifestError('USAGE', `there is no user in file "${path}"`)
  return new ScramUsers(verifiers, saltKey)
}

/**
 * Checks a file with secrets as a PostgreSQL server checks its private key: what root owns, a group may read.
 *
 * @throws {@link PbManifestError} `USAGE` or `IO`
 */
export function requirePrivate(path: string): void {
  if (!isTooOpen(path)) return
  throw new PbManifestError('USAGE', `file "${path}" has group or world access`, {
    hint: 'It must have permissions u=rw (0600) or less, or u=rw,g=r (0640) or less when root owns it.',
  })
}

function isTooOpen(path: string): boolean {
  try {
    const { mode, uid } = statSync(path)
    return (mode & (uid === 0 ? 0o037 : 0o077)) !== 0
  } catch (error) {
    throw ioError(`could not stat file "${path}"`, error)
  }
}

function parseLine(line: string, path: string, number: number): { user: string; verifier: ScramVerifier } {
  const colon = line.lastIndexOf(':SCRAM-SHA-256$')
  if (colon <= 0) throw badLine(path, number, 'it is not "user:SCRAM-SHA-256$..."')
  try {
    return { user: line.slice(0, colon), verifier: parseScramVerifier(line.slice(colon + 1)) }
  } catch (error) {
    if (isPbManifestError(error)) throw badLine(path, number, error.message)
    throw error
  }
}

function badLine(path: string, number: number, reason: string): PbManifestError {
  return new PbManifestError('USAGE', `line ${number} of file "${path}": ${reason}`)
}
