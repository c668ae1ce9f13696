import { statSync } from 'node:fs'
import { PbManifestError } from '../../errors.js'
import { Yielder } from '../../files/yielder.js'
import { displayPathname } from '../../files/pathname.js'
import { ioError } from '../../files/system-error.js'
import { createFileHasher } from '../checksum/create-file-hasher.js'
import { readControlFileIfKnown } from '../data-directory-files.js'
import { isBackupId } from './backup-id.js'
import { readClusterLayout } from '../contents/cluster-layout.js'
import { FragmentWriter } from './fragment-writer.js'
import { listBackupFiles } from './list-backup-files.js'
import { namedBackupFiles } from './named-backup-files.js'
import type { WriteFragmentOptions, WriteFragmentResult } from './options.js'
import { type PlannedFile, planShares } from './plan-shares.js'
import { recordFile, type Recorder } from './record-file.js'

const BUFFER_BYTES = 256 * 1024

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
  const recorder = await createRecorder(options, yielder)
  const writer = await FragmentWriter.create(options.output, options.backupId, options.worker)
  try {
    await recordFiles(files, recorder, writer)
    return { ...(await writer.seal()), ...passedOver }
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
  const { files, ...passedOver } = await listBackupFiles(directory, layout, yielder, includesAll)
  return { files: planShares(files, workers)[worker] ?? [], ...passedOver, warnings }
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

async function createRecorder(options: WriteFragmentOptions, yielder: Yielder): Promise<Recorder> {
  const algorithm = options.checksumAlgorithm ?? 'CRC32C'
  const hashing = algorithm === 'NONE' ? undefined : { algorithm, hasher: await createFileHasher(algorithm) }
  return { directory: options.directory, buffer: Buffer.allocUnsafe(BUFFER_BYTES), hashing, yielder }
}

/** Goes on after a failure, so that all are named at once. */
async function recordFiles(
  files: readonly PlannedFile[],
  recorder: Recorder,
  writer: FragmentWriter,
): Promise<void> {
  const failures: string[] = []
  for (const planned of files) {
    const recorded = await recordFile(planned, recorder)
    if (typeof recorded === 'string') failures.push(`"${displayPathname(planned.pathname)}": ${recorded}`)
    else await writer.append(recorded)
    if (recorder.yielder.isDue) await recorder.yielder.yield()
  }
  if (failures.length === 0) return
  throw new PbManifestError('IO', `could not record ${failures.length} of ${files.length} files`, {
    details: failures,
    hint: 'Nothing may change the directory while its fragments are written.',
  })
}
