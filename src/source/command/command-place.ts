import { PbManifestError } from '../../errors.js'
import { throwIfAborted } from '../../files/yielder.js'
import type { ArchiveContents } from '../tar/archive.js'
import { ArchiveNotThereError, type ArchivePlace, type RemoteArchive } from '../tar/archive-place.js'
import { fetchByCommand, FetchError, type FetchOptions, requireFetchCommand } from './fetch-command.js'

const NO_BYTES = 'the command gave no bytes'

/** How the name of an archive may go on, the likeliest first. @see src/bin/pg_basebackup/pg_basebackup.c */
const suffixes = ['.tar', '.tar.gz', '.tar.lz4', '.tar.zst', '.tgz'] as const

/**
 * A backup in tar format whose parts a command gives.
 *
 * A command does not say what there is. So an archive is asked for by each name that it can have, until one gives bytes; a
 * name that was found is the first that the next archive is asked for by.
 *
 * @throws {@link PbManifestError} `USAGE` for a command that is none
 */
export function commandPlace(options: FetchOptions): ArchivePlace {
  requireFetchCommand(options.command)
  let found: string = suffixes[0]
  return {
    shown: options.command,
    isRepeatable: true,
    async *open(archive, signal) {
      const stem = stemOf(archive.contents)
      const failures: FetchError[] = []
      for (const suffix of new Set([found, ...suffixes])) {
        const name = stem + suffix
        let isFound = false
        try {
          for await (const chunk of fetchByCommand(options, name, signal)) {
            isFound = true
            found = suffix
            archive.name = name
            yield chunk
          }
        } catch (error) {
          if (isFound || !(error instanceof FetchError) || !error.isOfName) throw error
          failures.push(error)
          continue
        }
        if (isFound || signal.aborted) return
        failures.push(new FetchError(NO_BYTES, { isOfName: true }))
      }
      throw notThere(stem, archive, failures)
    },
  }
}

/** A name without its suffix. */
function stemOf(contents: ArchiveContents): string {
  return typeof contents === 'string' ? contents : String(contents.tablespaceOid)
}

function notThere(
  stem: string,
  archive: RemoteArchive,
  [first]: readonly FetchError[],
): ArchiveNotThereError {
  const tried = `no bytes came for any of ${suffixes.map((suffix) => stem + suffix).join(', ')}`
  archive.name = `${stem}${suffixes[0]}`
  if (first === undefined) return new ArchiveNotThereError(NO_BYTES, tried)
  return new ArchiveNotThereError(
    first.message,
    `${tried}${first.detail === undefined ? '' : `; ${first.detail}`}`,
  )
}

/**
 * The bytes of a manifest that a command gives.
 *
 * @throws while it is read: {@link PbManifestError} `IO` or `ABORTED`
 */
export async function* fetchManifest(
  options: FetchOptions,
  name: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    let bytes = 0
    for await (const chunk of fetchByCommand(options, name, signal)) {
      bytes += chunk.length
      yield chunk
    }
    if (bytes === 0) throw new FetchError(NO_BYTES, { isOfName: true })
  } catch (error) {
    throwIfAborted(signal)
    if (!(error instanceof FetchError)) throw error
    const details = error.detail === undefined ? [] : [error.detail]
    throw new PbManifestError('IO', `could not fetch "${name}": ${error.message}`, { details, cause: error })
  }
}
