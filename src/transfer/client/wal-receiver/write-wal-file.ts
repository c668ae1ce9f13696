import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFully } from '../../../files/durable-file.js'
import { ioError } from '../../../files/system-error.js'
import type { WalFileName } from '../../../postgres/wal-file-name.js'
import { markDone, type WalFileOptions } from './wal-segment-writer.js'

/**
 * Writes a whole file of pg_wal that came in another way than by a stream: a timeline history file, or a segment that
 * was fetched after the backup. It is marked as archived, as the server's own base backup does.
 */
export async function writeWalFile(
  options: Omit<WalFileOptions, 'walSegmentSize'>,
  name: WalFileName,
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
): Promise<void> {
  const path = join(options.directory, name)
  let handle: FileHandle | undefined
  try {
    handle = await open(path, 'wx', options.fileMode)
    await handle.chmod(options.fileMode)
    for await (const chunk of chunks) await writeFully(handle, chunk)
    if (options.sync) await handle.sync()
  } catch (error) {
    throw ioError(`could not write file "${path}"`, error)
  } finally {
    await handle?.close()
  }
  await markDone(options, name)
}
