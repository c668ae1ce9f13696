import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { PbManifestError } from '../errors.js'
import { DurableFile, syncDirectory } from '../files/durable-file.js'
import { readSmallFile } from '../files/read-small-file.js'
import { describeSystemError, ioError } from '../files/system-error.js'

/** The format of all that is in a state directory. */
const STATE_VERSION = 1

const MARK = 'pbmanifest-state.json'
const BACKUPS = 'backups'
const FAILURES = 'failures'
const MAX_MARK_BYTES = 64 * 1024

/** A directory in which verifications leave what they found. */
export class StateDirectory {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  /**
   * Opens one for writing; makes it when there is none, or an empty directory.
   *
   * @throws {@link PbManifestError} `IO`; `BAD_FILE` when it is something else, or of a version that is not known
   */
  static async prepare(path: string): Promise<StateDirectory> {
    makePrivateDirectory(path)
    const real = realpathSync(path)
    requireOurs(path)
    if (!hasMark(path)) {
      const names = listNames(path)
      if (names.some((name) => !name.startsWith(`${MARK}.`))) throw notAState(path, 'it is not empty')
      await writeDurably(join(real, MARK), [`${JSON.stringify({ stateVersion: STATE_VERSION })}\n`])
    }
    makePrivateDirectory(join(real, BACKUPS))
    return new StateDirectory(real)
  }

  /**
   * Opens one for reading.
   *
   * @throws {@link PbManifestError} `IO`; `BAD_FILE`
   */
  static open(path: string): StateDirectory {
    listNames(path)
    if (!hasMark(path)) throw notAState(path, `there is no "${MARK}" in it`)
    return new StateDirectory(realpathSync(path))
  }

  /** Where what is known of a backup is kept. It is one by its place and its manifest's checksum. */
  placeOf(backup: { readonly path: string; readonly manifestChecksum: string }): string {
    const digest = createHash('sha256').update(`${backup.path}\0${backup.manifestChecksum}`).digest('hex')
    return join(this.path, BACKUPS, digest.slice(0, 32))
  }

  /** Where it is kept which directories could not be verified the last time: a file each. */
  get failures(): string {
    return join(this.path, FAILURES)
  }

  /** The files there. */
  listFailures(): string[] {
    if (!existsSync(this.failures)) return []
    return listNames(this.failures)
      .filter((name) => /^[0-9a-f]{32}\.json$/.test(name))
      .toSorted()
      .map((name) => join(this.failures, name))
  }

  /** Where what is known of each backup is kept, in no order that means anything. */
  listPlaces(): string[] {
    const directory = join(this.path, BACKUPS)
    return listNames(directory)
      .filter((name) => /^[0-9a-f]{32}$/.test(name))
      .toSorted()
      .map((name) => join(directory, name))
  }
}

/**
 * Makes a directory, and what is missing above it, for its owner only.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function makePrivateDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw ioError(`could not create directory "${path}"`, error)
  }
}

/** Writes a file whole or not at all. */
export async function writeDurably(path: string, pieces: Iterable<string | Uint8Array>): Promise<void> {
  const file = await DurableFile.create(path)
  try {
    for (const piece of pieces) await file.write(typeof piece === 'string' ? Buffer.from(piece) : piece)
    await file.commit()
  } catch (error) {
    await file.discard()
    throw error
  }
}

/** Makes the names above a directory that was just made durable. */
export async function syncParent(path: string): Promise<void> {
  try {
    await syncDirectory(dirname(path))
  } catch (error) {
    throw ioError(`could not write directory "${path}"`, error)
  }
}

/** Whoever can write there can have any file passed over. */
function requireOurs(path: string): void {
  const { uid, mode } = statSync(path)
  const us = process.getuid?.()
  if (us !== undefined && uid !== us && uid !== 0) {
    throw new PbManifestError('IO', `state directory "${path}" belongs to another user (uid ${uid})`, {
      hint: 'Verify as that user, or use a directory of your own.',
    })
  }
  if ((mode & 0o022) === 0) return
  throw new PbManifestError('IO', `state directory "${path}" can be written by others`, {
    hint: 'What is said there makes files be passed over: chmod 700.',
  })
}

/** @throws {@link PbManifestError} `BAD_FILE` when it is none that we know */
function hasMark(path: string): boolean {
  const bytes = readSmallFile(join(path, MARK), MAX_MARK_BYTES)
  if (bytes === undefined) return false
  const version = versionIn(bytes.toString('utf8'))
  if (version === STATE_VERSION) return true
  const why =
    typeof version === 'number'
      ? `it is of version ${version}, and only ${STATE_VERSION} is known here`
      : `its "${MARK}" is damaged`
  throw notAState(path, why)
}

function versionIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { readonly stateVersion?: unknown } | null)?.stateVersion
  } catch {
    return undefined
  }
}

function listNames(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    throw ioError(`could not open directory "${path}"`, error)
  }
}

function notAState(path: string, why: string): PbManifestError {
  return new PbManifestError('BAD_FILE', `"${path}" is not a state directory of pbmanifest: ${why}`)
}

/**
 * Refuses a state directory in the backup: verification never writes there.
 *
 * @throws {@link PbManifestError} `USAGE`
 */
export function requireOutside(stateDirectory: string, backupDirectory: string): void {
  const state = realOrNearest(stateDirectory)
  const tablespaces = join(backupDirectory, 'pg_tblspc')
  const parts = [backupDirectory, ...namesIn(tablespaces).map((name) => join(tablespaces, name))]
  for (const part of parts) {
    const real = realOrNearest(part)
    if (state !== real && !state.startsWith(`${real}/`)) continue
    throw new PbManifestError('USAGE', `state directory "${stateDirectory}" is in the backup`)
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** Of what is not there yet, where it would be. */
function realOrNearest(given: string): string {
  const path = resolve(given)
  try {
    return realpathSync(path)
  } catch (error) {
    const parent = dirname(path)
    if (describeSystemError(error)?.code !== 'ENOENT' || parent === path) return path
    return join(realOrNearest(parent), basename(path))
  }
}
