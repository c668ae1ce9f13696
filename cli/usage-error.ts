import { PbManifestError } from '../src/errors.js'

/** A command line that makes no sense. Whoever reports it adds which `--help` to try. */
export function usageError(message: string, ...details: readonly string[]): PbManifestError {
  return new PbManifestError('USAGE', message, { details })
}
