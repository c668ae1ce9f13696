import { createHash } from 'node:crypto'
import { closeSync } from 'node:fs'
import { openRegularFile } from '../../files/open-regular-file.js'
import { readExactly } from '../../files/read-fully.js'
import { ioError } from '../../files/system-error.js'
import { formatListSeparator, formatManifestChecksum } from '../../manifest/format-manifest.js'

/** How much is given out at a time, at least, but for the last. */
const PIECE_BYTES = 256 * 1024

const LF = 0x0a
const COMMA = 0x2c

/** What stands before the first file, after the last, and before the manifest's own checksum. */
const filesStart = Buffer.from('"Files": [\n')
const filesEnd = Buffer.from('\n],\n"WAL-Ranges"')
const checksumStart = Buffer.from('\n"Manifest-Checksum"')

/**
 * The bytes of a manifest that we have merged ourselves, with its files sorted by their lines, which means by pathname: so
 * it does not show how many workers there were, and which had which file.
 *
 * The manifest is in memory as a whole, about 150 bytes for a file.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function* sortedManifest(path: string): Generator<Buffer, void, undefined> {
  const manifest = readWhole(path)
  const start = manifest.indexOf(filesStart) + filesStart.length
  const end = manifest.lastIndexOf(filesEnd)
  const rangesEnd = manifest.lastIndexOf(checksumStart) + 1
  const hash = createHash('sha256')
  const isEmpty = end < start
  const header = manifest.subarray(0, isEmpty ? end : start)
  for (const piece of gather([header, ...(isEmpty ? [] : sortLines(manifest.subarray(start, end)))])) {
    hash.update(piece)
    yield piece
  }
  const ranges = manifest.subarray(end, rangesEnd)
  hash.update(ranges)
  yield ranges
  yield Buffer.from(formatManifestChecksum(hash.digest('hex')))
}

function* sortLines(files: Buffer): Generator<Buffer, void, undefined> {
  const starts: number[] = []
  for (let at = 0; at < files.length;) {
    starts.push(at)
    const lineFeed = files.indexOf(LF, at)
    at = lineFeed === -1 ? files.length : lineFeed + 1
  }
  const lines = starts.map((start, index) => trimLine(files.subarray(start, starts[index + 1])))
  const separator = Buffer.from(formatListSeparator(false))
  for (const [index, line] of lines.toSorted((left, right) => left.compare(right)).entries()) {
    // The line feed before the first is part of the header.
    if (index > 0) yield separator
    yield line
  }
}

/** Without the line feed, and the comma before it. */
function trimLine(line: Buffer): Buffer {
  let end = line.length
  if (line[end - 1] === LF) end--
  if (line[end - 1] === COMMA) end--
  return line.subarray(0, end)
}

function* gather(parts: Iterable<Buffer>): Generator<Buffer, void, undefined> {
  let pending: Buffer[] = []
  let bytes = 0
  for (const part of parts) {
    pending.push(part)
    bytes += part.length
    if (bytes < PIECE_BYTES) continue
    yield Buffer.concat(pending)
    pending = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(pending)
}

function readWhole(path: string): Buffer {
  try {
    const { descriptor, stats } = openRegularFile(path)
    try {
      const bytes = Buffer.allocUnsafe(stats.size)
      readExactly(path, descriptor, bytes, 0)
      return bytes
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw ioError(`could not read file "${path}"`, error)
  }
}
