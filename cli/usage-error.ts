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

/** @throws {@link PbManifestError} `USAGE` */
export function requireQuietOrProgress({
  progress,
  quiet,
}: {
  readonly progress?: boolean | undefined
  readonly quiet?: boolean | undefined
}): void {
  if (progress === true && quiet === true) {
    throw usageError('cannot specify both -P/--progress and -q/--quiet')
  }
}

/** @throws {@link PbManifestError} `USAGE` */
export function requireQuietOrVerbose({
  quiet,
  verbose,
}: {
  readonly quiet?: boolean | undefined
  readonly verbose?: boolean | undefined
}): void {
  if (verbose === true && quiet === true) {
    throw usageError('cannot specify both -v/--verbose and -q/--quiet')
  }
}

/** @throws {@link PbManifestError} `USAGE` when a signature is spoken of, and nobody is named who may sign */
export function requireAllowedSigners(
  values: Readonly<Partial<Record<'allowed-signers' | 'signer-identity' | 'signature', string | undefined>>>,
): void {
  if (values['allowed-signers'] !== undefined) return
  const name = (['signer-identity', 'signature'] as const).find((name) => values[name] !== undefined)
  if (name !== undefined) throw usageError(`--${name} is for use with --allowed-signers`)
}
