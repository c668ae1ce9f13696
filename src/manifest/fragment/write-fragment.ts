import { statSync } from 'node:fs'
import { PbManifestError } from '../../errors.js'
import { Yielder } from '../../files/yielder.js'
import { displayPathname, isUtf8Pathname, type Pathname, pathOf } from '../../files/pathname.js'
import { describeSystemError, ioError } from '../../files/system-error.js'
import { createFileHasher } from '../checksum/create-file-hasher.js'
import { readControlFileIfKnown } from '../data-directory-files.js'
import { isBackupId } from './backup-id.js'
import { readClusterLayout } from '../contents/walk-backup.js'
import { FragmentWriter } from './fragment-writer.js'
import { listBackupFiles, namedBackupFiles, type PlannedFile, planShares } from './fragment-files.js'
import type { ChecksumAlgorithm, RealChecksumAlgorithm } from '../checksum/checksum-algorithm.js'
import { NotARegularFileError, openRegularFile, readOpenedFile } from '../../files/open-regular-file.js'
import type { FileHasher } from '../checksum/file-hasher.js'
import { formatLastModified } from '../manifest-parts.js'
import type { ManifestFile } from '../model.js'
import type { SealedFragment } from './fragment-lines.js'

const BUFFER_BYTES = 256 * 1024

/** Which files a worker records, where, and how. */
export interface WriteFragmentOptions {
  /** The data directory, or a plain copy of one. Nothing may change it meanwhile. */
  readonly directory: string
  /** The file to write; it must not exist. By convention `backup_manifest_<backup-id>.<worker>`. */
  readonly output: string
  /** 32 hexadecimal digits, the same for every worker of one backup. */
  readonly backupId: string
  /** This worker's number, from 0. */
  readonly worker: number
  /** How many workers share the directory; this one takes its share. Give this or `files`, not both. */
  readonly workers?: number
  /** The pathnames to record, relative to the directory. */
  readonly files?: readonly Pathname[]
  /**
   * Record what a server's own backup leaves out as well, but for `pg_wal`: for a copy of a whole directory. Default false.
   */
  readonly includeAll?: boolean
  /** Default CRC32C. */
  readonly checksumAlgorithm?: ChecksumAlgorithm
  readonly signal?: AbortSignal
}

/** What was written, and what was passed over. */
export interface WriteFragmentResult extends SealedFragment {
  /** Links, FIFOs and the like in the directory, which no backup takes; the same for every worker. */
  readonly specialFiles: readonly Pathname[]
  /** Files that a server's own backup leaves out, of the directory or of those that were named; `verify` calls them extra. */
  readonly leftOut: readonly Pathname[]
  /** Sentences on what could not be known. */
  readonly warnings: readonly string[]
}

/**
 * Records one worker's part of a data directory in a fragment, which is sealed and durable when this resolves.
 *
 * What a server's own backup leaves out is left out, and told; tablespaces are followed. The directory must be at rest: a file
 * that vanishes or changes its size fails the whole, and no fragment remains.
 *
 * @throws {@link PbManifestError} `USAGE`, `IO` (details name every file), `BAD_FILE` (pg_control) or `ABORTED`
 * @example
 * ```ts
 * import { createBackupId, writeFragment } from 'pbmanifest'
 *
 * const backupId = createBackupId()
 * const workers = 4
 * for (let worker = 0; worker < workers; worker++) {
 *   const output = `/backups/fragments/backup_manifest_${backupId}.${worker}`
 *   await writeFragment({ directory: '/backups/monday', output, backupId, worker, workers })
 * }
 * ```
 */
export async function writeFragment(options: WriteFragmentOptions): Promise<WriteFragmentResult> {
  checkOptions(options)
  const yielder = new Yielder(options.signal)
  const { files, ...passedOver } = await planFiles(options, yielder)
  return { ...(await writeFragmentOf(files, options, yielder)), ...passedOver }
}

/** Records these files, which somebody else has planned. */
export async function writeFragmentOf(
  files: Iterable<PlannedFile>,
  options: Pick<WriteFragmentOptions, 'directory' | 'output' | 'backupId' | 'worker' | 'checksumAlgorithm'>,
  yielder: Yielder,
  onBytes?: (bytes: number) => void,
): Promise<SealedFragment> {
  const recorder = { ...(await createRecorder(options, yielder)), onBytes }
  const writer = await FragmentWriter.create(options.output, options.backupId, options.worker)
  try {
    await recordFiles(files, recorder, writer)
    return await writer.seal()
  } catch (error) {
    await writer.discard()
    throw error
  }
}

function checkOptions(options: WriteFragmentOptions): void {
  const { worker, workers, files } = options
  if (!isBackupId(options.backupId)) throw usage('backup id must be 32 hexadecimal digits')
  if (!Number.isSafeInteger(worker) || worker < 0) throw usage('worker must be a whole number from 0')
  if ((workers === undefined) === (files === undefined)) throw usage('give either workers or files')
  if (workers === undefined) return
  if (!Number.isSafeInteger(workers) || workers < 1) throw usage('workers must be a whole number from 1')
  if (worker >= workers) throw usage(`worker ${worker} is not one of ${workers}, which are counted from 0`)
}

function usage(message: string): PbManifestError {
  return new PbManifestError('USAGE', message)
}

interface Plan extends Pick<WriteFragmentResult, 'specialFiles' | 'leftOut' | 'warnings'> {
  readonly files: readonly PlannedFile[]
}

async function planFiles(options: WriteFragmentOptions, yielder: Yielder): Promise<Plan> {
  const { directory, worker, workers = 1, includeAll: includesAll = false } = options
  requireDirectory(directory)
  const warnings: string[] = []
  const layout = readClusterLayout(directory, () =>
    readControlFileIfKnown(directory, (warning) => warnings.push(warning)),
  )
  if (options.files !== undefined) {
    const named = await namedBackupFiles(directory, options.files, layout, yielder, includesAll)
    return { ...named, specialFiles: [], warnings }
  }
  const { files, specialFiles, leftOut } = await listBackupFiles(directory, layout, yielder, includesAll)
  return { files: planShares(files, workers)[worker] ?? [], specialFiles, leftOut, warnings }
}

function requireDirectory(directory: string): void {
  const attempt = `could not open directory "${directory}"`
  let isDirectory: boolean
  try {
    isDirectory = statSync(directory).isDirectory()
  } catch (error) {
    throw ioError(attempt, error)
  }
  if (!isDirectory) throw new PbManifestError('IO', `${attempt}: Not a directory`)
}

async function createRecorder(
  options: Pick<WriteFragmentOptions, 'directory' | 'checksumAlgorithm'>,
  yielder: Yielder,
): Promise<Recorder> {
  const algorithm = options.checksumAlgorithm ?? 'CRC32C'
  const hashing =
    algorithm === 'NONE' ? undefined : { algorithm, hasher: await createFileHasher(algorithm, 'unknown') }
  return { directory: options.directory, buffer: Buffer.allocUnsafe(BUFFER_BYTES), hashing, yielder }
}

/** Goes on after a failure, so that all are named at once. */
async function recordFiles(
  files: Iterable<PlannedFile>,
  recorder: Recorder,
  writer: FragmentWriter,
): Promise<void> {
  const failures: string[] = []
  let count = 0
  for (const planned of files) {
    count++
    const recorded = await recordFile(planned, recorder)
    if (typeof recorded === 'string') failures.push(`"${displayPathname(planned.pathname)}": ${recorded}`)
    else await writer.append(recorded)
    if (recorder.yielder.isDue) await recorder.yielder.yield()
  }
  if (failures.length === 0) return
  throw new PbManifestError('IO', `could not record ${failures.length} of ${count} files`, {
    details: failures,
    hint: 'Nothing may change the directory while its fragments are written.',
  })
}

/** How files are read and summed. */
export interface Recorder {
  readonly directory: string
  readonly buffer: Buffer
  readonly hashing: { readonly algorithm: RealChecksumAlgorithm; readonly hasher: FileHasher } | undefined
  readonly yielder: Yielder
  /** Is told how many were read. */
  readonly onBytes?: ((bytes: number) => void) | undefined
}

/**
 * Reads a file whole and makes its manifest entry.
 *
 * @returns a sentence fragment when the file cannot be recorded as it was planned
 */
export async function recordFile(planned: PlannedFile, recorder: Recorder): Promise<ManifestFile | string> {
  try {
    const opened = openRegularFile(pathOf(recorder.directory, planned.pathname))
    const { mtime } = opened.stats
    let size = 0
    recorder.hashing?.hasher.reset()
    for (const chunk of readOpenedFile(opened, recorder.buffer)) {
      recorder.hashing?.hasher.update(chunk)
      size += chunk.length
      recorder.onBytes?.(chunk.length)
      if (recorder.yielder.isDue) await recorder.yielder.yield()
    }
    if (size !== planned.size) return `changed size from ${planned.size} to ${size} bytes while it was read`
    return {
      pathname: planned.pathname,
      size,
      lastModified: formatLastModified(mtime),
      checksum: recorder.hashing && {
        algorithm: recorder.hashing.algorithm,
        hex: recorder.hashing.hasher.digest(),
      },
      isPathEncoded: !isUtf8Pathname(planned.pathname),
    }
  } catch (error) {
    if (error instanceof NotARegularFileError) return error.message
    const description = describeSystemError(error)
    if (description === undefined) throw error
    return description.code === 'ENOENT' ? 'vanished while the directory was read' : description.message
  }
}
