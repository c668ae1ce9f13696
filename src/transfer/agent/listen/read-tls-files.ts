import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { PbManifestError } from '../../../errors.js'
import { readSmallFile } from '../../../files/read-small-file.js'
import { requirePrivate } from './read-users-file.js'

const MAX_BYTES = 1 << 20

/**
 * Reads a certificate and its private key, both PEM.
 *
 * @throws {@link PbManifestError} `IO` or `USAGE`
 */
export function readTlsFiles(certificatePath: string, keyPath: string): SecureContext {
  const cert = readFile(certificatePath)
  const key = readFile(keyPath)
  requirePrivate(keyPath)
  try {
    // As a PostgreSQL server's.
    const secureOptions = constants.SSL_OP_NO_RENEGOTIATION
    return createSecureContext({ cert, key, minVersion: 'TLSv1.2', secureOptions })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PbManifestError(
      'USAGE',
      `could not use certificate "${certificatePath}" with private key "${keyPath}": ${reason}`,
      { cause },
    )
  }
}

function readFile(path: string): Buffer {
  const bytes = readSmallFile(path, MAX_BYTES)
  if (bytes === undefined)
    throw new PbManifestError('IO', `could not open file "${path}": No such file or directory`)
  return bytes
}
