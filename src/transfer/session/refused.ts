import { PbManifestError } from '../../errors.js'

/** A command that makes no sense now, or from this session. */
export function refused(message: string, hint?: string): PbManifestError {
  return new PbManifestError('USAGE', message, hint === undefined ? {} : { hint })
}
