import type { Readable } from 'node:stream'
import { ioError } from '../../files/system-error.js'
import { isPbManifestError, PbManifestError } from '../../errors.js'
import { SourceReadError } from '../backup-source.js'
import type { Archive, ArchiveContents } from './archive.js'

/** An archive that is no file of this machine. */
export interface RemoteArchive extends Archive {
  /** Becomes the one by which it was found. */
  name: string
  readonly path: undefined
}

/** An archive that may be there, by the name that it has when it is not compressed. */
export function remoteArchive(contents: ArchiveContents): RemoteArchive {
  const stem = typeof contents === 'string' ? contents : String(contents.tablespaceOid)
  return { name: `${stem}.tar`, contents, path: undefined, compression: undefined, size: 0 }
}

export function isRemote(archive: Archive): archive is RemoteArchive {
  return archive.path === undefined
}

/** There is no such archive, as far as can be told: no name that it could have gave any bytes. */
export class ArchiveNotThereError extends SourceReadError {}

/** Where the archives of a backup are that are no files of this machine. */
export interface ArchivePlace {
  /** As it is shown. */
  readonly shown: string
  /** Whether an archive can be read again. */
  readonly isRepeatable: boolean
  /**
   * Begins with an archive.
   *
   * @param signal - fires when no more of it is wanted
   * @throws while it is read: {@link SourceReadError}, of which {@link ArchiveNotThereError} is one; any other error is of the
   * whole place
   */
  open(archive: RemoteArchive, signal: AbortSignal): AsyncIterable<Uint8Array>
}

/** A stream with one archive. */
export function streamPlace(shown: string, stream: Readable): ArchivePlace {
  // It may fail before it is wanted; whoever reads it is told then.
  stream.on('error', () => {})
  return {
    shown,
    isRepeatable: false,
    async *open(_archive, signal) {
      const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array, undefined>
      // A stream may be silent for ever, also when it is destroyed.
      const aborted = new Promise<IteratorReturnResult<undefined>>((resolve) => {
        signal.addEventListener('abort', () => resolve({ done: true, value: undefined }))
      })
      try {
        for (;;) {
          const next = await Promise.race([chunks.next(), aborted])
          if (next.done === true) return
          yield next.value
        }
      } catch (error) {
        throw streamError(error)
      }
    },
  }
}

/** Whatever a stream fails with: those of a network have errors of their own. */
function streamError(cause: unknown): unknown {
  const error = ioError('could not read the archive', cause)
  if (isPbManifestError(error)) return error
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PbManifestError('IO', `could not read the archive: ${reason}`, { cause })
}
