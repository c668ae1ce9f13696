import { createHash } from 'node:crypto'
import { realpathSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { PbManifestError } from '../errors.js'
import { readSmallFile } from '../files/read-small-file.js'
import { describeSystemError, ioError } from '../files/system-error.js'
import { version } from '../version.js'
import { makeDirectory, type StateDirectory, writeDurably } from './state-directory.js'

const MAX_BYTES = 16 * 1024 * 1024

/**
 * A verification that came to no verdict, and after which there was no other one of the same directory.
 *
 * @see schemas/state-failure.schema.json
 */
export interface FailedRun {
  readonly stateVersion: 1
  /** Of the backup directory; absolute, without links. */
  readonly path: string
  /** When it ended. UTC, by ISO 8601. */
  readonly at: string
  readonly host: string
  readonly pbmanifestVersion: string
  /** Why it came to no verdict. */
  readonly error: { readonly code: string; readonly message: string }
}

/**
 * Takes down that a verification came to no verdict. One of a directory that is not there leaves nothing: there is no backup of which
 * it says something.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function writeFailedRun(
  state: StateDirectory,
  directory: string,
  { code, message }: PbManifestError,
): Promise<void> {
  const path = realPathOf(directory)
  if (path === undefined) return
  makeDirectory(state.failures)
  const run: FailedRun = {
    stateVersion: 1,
    path,
    at: new Date().toISOString(),
    host: hostname(),
    pbmanifestVersion: version,
    error: { code, message },
  }
  await writeDurably(fileOf(state, path), [`${JSON.stringify(run, null, 1)}\n`])
}

/**
 * To be called when there is a verdict.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function forgetFailedRun(state: StateDirectory, directory: string): void {
  const path = fileOf(state, realPathOf(directory) ?? resolve(directory))
  try {
    rmSync(path, { force: true })
  } catch (error) {
    throw ioError(`could not remove file "${path}"`, error)
  }
}

/** @throws {@link PbManifestError} `IO`, or `BAD_FILE` when it is damaged */
export function readFailedRun(path: string): FailedRun | undefined {
  const text = readSmallFile(path, MAX_BYTES)?.toString('utf8')
  if (text === undefined) return undefined
  const run = parse(text)
  if (run?.stateVersion === 1 && typeof run.path === 'string' && typeof run.error?.message === 'string') {
    return run as FailedRun
  }
  throw new PbManifestError('BAD_FILE', `state file "${path}" is damaged`)
}

function parse(text: string): Partial<FailedRun> | undefined {
  try {
    return (JSON.parse(text) as Partial<FailedRun> | null) ?? undefined
  } catch {
    return undefined
  }
}

function fileOf(state: StateDirectory, path: string): string {
  const name = createHash('sha256').update(path).digest('hex').slice(0, 32)
  return join(state.failures, `${name}.json`)
}

function realPathOf(directory: string): string | undefined {
  try {
    return realpathSync(directory)
  } catch (error) {
    if (describeSystemError(error) === undefined) throw error
    return undefined
  }
}
