import { getSystemErrorMap } from 'node:util'
import { closeSync, openSync } from 'node:fs'
import { PbManifestError } from '../errors.js'

/** An error of the operating system as plain data, which also crosses threads unharmed. */
interface SystemErrorDescription {
  /** `ENOENT` and the like. */
  readonly code: string
  /** In the words of strerror: `No such file or directory`. */
  readonly message: string
}

/** Where Node has other words than strerror, and so than PostgreSQL's tools. */
const strerrorWords: ReadonlyMap<string, string> = new Map([
  ['EBUSY', 'Device or resource busy'],
  ['EEXIST', 'File exists'],
  ['EIO', 'Input/output error'],
  ['EISDIR', 'Is a directory'],
  ['ELOOP', 'Too many levels of symbolic links'],
  ['ENAMETOOLONG', 'File name too long'],
  ['ENOMEM', 'Cannot allocate memory'],
  ['ENFILE', 'Too many open files in system'],
])

/** What the operating system said, when this is such an error. */
export function describeSystemError(error: unknown): SystemErrorDescription | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  if (!('errno' in error) || typeof error.errno !== 'number') return undefined
  const words = strerrorWords.get(error.code) ?? getSystemErrorMap().get(error.errno)?.[1] ?? error.message
  return { code: error.code, message: words.charAt(0).toUpperCase() + words.slice(1) }
}

/** Whether a call failed because there is nothing of that name. */
export function isNotThere(error: unknown): boolean {
  return describeSystemError(error)?.code === 'ENOENT'
}

/**
 * Makes `could not open file "x": No such file or directory` of a failed call.
 *
 * @param attempt - what could not be done, with its object: `could not open file "x"`
 * @returns a {@link PbManifestError} `IO`; any error that is not the operating system's as it is
 */
export function ioError(attempt: string, error: unknown): unknown {
  const description = describeSystemError(error)
  if (description === undefined) return error
  return new PbManifestError('IO', `${attempt}: ${description.message}`, { cause: error })
}

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
