import { PbManifestError } from '../src/errors.js'

/** A command line that makes no sense. Whoever reports it adds which `--help` to try. */
export function usageError(message: string, ...details: readonly string[]): PbManifestError {
  return new PbManifestError('USAGE', message, { details })
}

/**
 * The same for a name that nobody knows, in PostgreSQL's words.
 *
 * @param meant - what was probably meant, with what it is: `the option "--jobs"`
 */
export function withSuggestion(message: string, meant: string | undefined): PbManifestError {
  return meant === undefined
    ? usageError(message)
    : new PbManifestError('USAGE', message, { hint: `Perhaps you meant ${meant}.` })
}
