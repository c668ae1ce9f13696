import { closeSync, openSync } from 'node:fs'
import { PbManifestError } from '../errors.js'
import { describeSystemError } from './system-error.js'

/**
 * To be called when a part of the program cannot be loaded. Node says of a file that it has no descriptor for that it
 * cannot be found; this says why, or that there are descriptors now, and it may be tried again.
 *
 * @throws the error of the system, `EMFILE` or `ENFILE`
 */
export function requireDescriptor(): void {
  closeSync(openSync('/dev/null', 'r'))
}

/**
 * Anything may need a part of the program that has not been loaded yet, and there may be no descriptor left to read it.
 *
 * @returns a {@link PbManifestError} `IO` for that; any other error as it is
 */
export function explainShortage(error: unknown): unknown {
  const { code, message } = describeSystemError(error) ?? {}
  if (code !== 'EMFILE' && code !== 'ENFILE') return error
  return new PbManifestError('IO', `could not load a part of pbmanifest: ${message}`, {
    hint: 'Ask for less at a time (--jobs), or raise the limit of open files (ulimit -n).',
    cause: error,
  })
}
