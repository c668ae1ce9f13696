import { PbManifestError } from '../errors.js'

/** A manifest whose structure is wrong, in the words of `pg_verifybackup`. */
export function manifestParseError(reason: string, cause?: unknown): PbManifestError {
  return new PbManifestError('BAD_MANIFEST', `could not parse backup manifest: ${reason}`, { cause })
}

/** A manifest that has the right structure and says something that cannot be. */
export function badManifestError(message: string): PbManifestError {
  return new PbManifestError('BAD_MANIFEST', message)
}
