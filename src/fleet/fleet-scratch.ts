import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ioError } from '../files/system-error.js'

/**
 * Does something with a directory for fragments, which is removed afterwards.
 *
 * @throws {@link PbManifestError} `IO` when there is no place for it; what `work` throws
 */
export async function withScratch<Result>(work: (directory: string) => Promise<Result>): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'pbmanifest-fleet-')).catch((error: unknown) => {
    throw ioError(`could not create a directory in "${tmpdir()}"`, error)
  })
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
