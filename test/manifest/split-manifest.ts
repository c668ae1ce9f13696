import { join } from 'node:path'
import { fragmentFileName } from '../../src/manifest/fragment/backup-id.js'
import { FragmentWriter } from '../../src/manifest/fragment/fragment-writer.js'
import type { BackupManifest, ManifestFile } from '../../src/manifest/model.js'
import { backupId } from './fragment-text.js'

/**
 * Splits the files of a manifest into fragments, each a stretch of the list: worker 0 has the first.
 *
 * @param workers - how many fragments there will be
 * @param cuts - where the stretches end, as parts of the whole; evenly when left out
 * @returns the paths of the fragments, in the order of the workers
 */
export async function splitManifest(
  manifest: Pick<BackupManifest, 'files'>,
  directory: string,
  workers: number,
  cuts: readonly number[] = [],
): Promise<string[]> {
  const { files } = manifest
  const ends = Array.from({ length: workers - 1 }, (_, index) => cuts[index] ?? (index + 1) / workers)
  const bounds = [0, ...ends.toSorted((left, right) => left - right), 1].map((part) =>
    Math.round(part * files.length),
  )
  return await Promise.all(
    Array.from({ length: workers }, (_, worker) =>
      writePart(directory, worker, files.slice(bounds[worker], bounds[worker + 1])),
    ),
  )
}

async function writePart(directory: string, worker: number, files: readonly ManifestFile[]): Promise<string> {
  const path = join(directory, fragmentFileName(backupId, worker))
  const writer = await FragmentWriter.create(path, backupId, worker)
  for (const file of files) await writer.append(file)
  await writer.seal()
  return path
}
