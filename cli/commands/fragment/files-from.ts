import { createReadStream } from 'node:fs'
import { addAbortSignal, type Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { decodePathname, type Pathname } from '../../../src/files/pathname.js'
import { ioError } from '../../../src/files/system-error.js'

const NUL = 0
const LF = 10

/**
 * Reads a list of pathnames from a file, or from standard input when its name is `-`.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function readFilesFrom(name: string, stdin: Readable, signal: AbortSignal): Promise<Pathname[]> {
  const stream = name === '-' ? stdin : createReadStream(name)
  try {
    return parseFilesFrom(await buffer(addAbortSignal(signal, stream)))
  } catch (error) {
    throw ioError(name === '-' ? 'could not read standard input' : `could not read file "${name}"`, error)
  }
}

/**
 * The pathnames of a list whose entries end in NUL, or, if there is no NUL in it, in LF. They are bytes, whatever
 * the encoding. Entries that name nothing are passed over: empty ones, and the `.` that `find .` prints.
 */
export function parseFilesFrom(list: Buffer): Pathname[] {
  const separator = list.includes(NUL) ? NUL : LF
  const pathnames: Pathname[] = []
  for (let at = 0; at < list.length;) {
    const found = list.indexOf(separator, at)
    const end = found === -1 ? list.length : found
    const pathname = decodePathname(list.subarray(at, end)).replace(/^(?:\.(?:\/+|$))+/, '')
    if (pathname !== '') pathnames.push(pathname)
    at = end + 1
  }
  return pathnames
}
