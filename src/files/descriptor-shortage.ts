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

/** Whether there are no descriptors left here: it says nothing of whom something was asked. */
export function isDescriptorShortage(error: unknown): boolean {
  const { code } = describeSystemError(error) ?? {}
  return code === 'EMFILE' || code === 'ENFILE'
}

/** What to do about it. */
export const shortageHint = 'Ask for less at a time (--jobs), or raise the limit of open files (ulimit -n).'

/**
 * Anything may need a part of the program that has not been loaded yet, and there may be no descriptor left to read it.
 *
 * @returns a {@link PbManifestError} `IO` for that; any other error as it is
 */
export function explainShortage(error: unknown): unknown {
  if (!isDescriptorShortage(error)) return error
  return new PbManifestError(
    'IO',
    `could not load a part of pbmanifest: ${describeSystemError(error)?.message}`,
    { hint: shortageHint, cause: error },
  )
}
