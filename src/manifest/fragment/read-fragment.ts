import { createHash } from 'node:crypto'
import { PbManifestError } from '../../errors.js'
import { NotARegularFileError } from '../../files/open-regular-file.js'
import { readLines } from '../../files/read-lines.js'
import { ioError } from '../../files/system-error.js'
import type { ManifestFile } from '../model.js'
import type { FragmentSeal } from './fragment-seal.js'
import { parseFragmentLine, parseFragmentSeal } from './parse-fragment-line.js'

/** Longer than the longest pathname, each of its bytes escaped, and the rest of the entry. */
const MAX_LINE_BYTES = 64 * 1024

const LF = 0x0a

/** What is found in a fragment, in this order: its files, then how it ends. */
export type FragmentItem =
  | { readonly type: 'file'; readonly file: ManifestFile; readonly line: Buffer }
  | { readonly type: 'seal'; readonly seal: FragmentSeal }
  /** No seal, but whole lines: the worker did not finish. */
  | { readonly type: 'unsealed' }
  /** The end was cut off, in the middle of a line. */
  | { readonly type: 'truncated' }
  /** Not a fragment, or one that was changed. */
  | { readonly type: 'damaged'; readonly reason: string }

/**
 * Reads a fragment to its end, or to the first thing that is wrong with it. The last item is never a file.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function* readFragment(path: string): Generator<FragmentItem, void, undefined> {
  try {
    yield* readItems(path)
  } catch (error) {
    if (error instanceof NotARegularFileError) {
      throw new PbManifestError('IO', `could not open file "${path}": it is not a regular file`)
    }
    throw ioError(`could not read file "${path}"`, error)
  }
}

function* readItems(path: string): Generator<FragmentItem, void, undefined> {
  const hash = new LineHash()
  let files = 0
  let bytes = 0
  let seal: FragmentSeal | undefined
  for (const line of readLines(path, MAX_LINE_BYTES)) {
    if (seal !== undefined) {
      yield damaged('something follows its seal')
      return
    }
    if (!line.isWhole) {
      // A line that long was cut by the reader, not by an accident.
      yield line.bytes.length >= MAX_LINE_BYTES
        ? damaged(`line ${files + 1} is longer than ${MAX_LINE_BYTES} bytes`)
        : { type: 'truncated' }
      return
    }
    if (isSealLine(line.bytes)) {
      seal = parseFragmentSeal(line.bytes)
      if (seal === undefined) {
        yield damaged('its seal is not one')
        return
      }
      continue
    }
    const file = parseFragmentLine(line.bytes)
    if (typeof file === 'string') {
      yield damaged(`line ${files + 1} is not a manifest file: ${file}`)
      return
    }
    files++
    bytes += file.size
    hash.update(line.bytes)
    yield { type: 'file', file, line: line.bytes }
  }
  yield seal === undefined ? { type: 'unsealed' } : checkSeal(seal, files, bytes, hash.digest())
}

/** SHA-256 over lines with their ends, gathered because each call of the hash has its price. */
class LineHash {
  readonly #hash = createHash('sha256')
  readonly #buffer = Buffer.allocUnsafe(4 * MAX_LINE_BYTES)
  #used = 0

  update(line: Buffer): void {
    if (this.#used + line.length + 1 > this.#buffer.length) this.#flush()
    this.#used += line.copy(this.#buffer, this.#used)
    this.#buffer[this.#used++] = LF
  }

  digest(): string {
    this.#flush()
    return this.#hash.digest('hex')
  }

  #flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#used))
    this.#used = 0
  }
}

function isSealLine(line: Buffer): boolean {
  return line.toString('latin1', 0, 22) === '{ "Fragment-Version": '
}

function checkSeal(seal: FragmentSeal, files: number, bytes: number, checksum: string): FragmentItem {
  if (seal.files !== files) return damaged(`it holds ${files} files, but its seal says ${seal.files}`)
  if (seal.bytes !== bytes) return damaged(`its files have ${bytes} bytes, but its seal says ${seal.bytes}`)
  if (seal.fragmentChecksum !== checksum) return damaged('fragment checksum mismatch')
  return { type: 'seal', seal }
}

function damaged(reason: string): FragmentItem {
  return { type: 'damaged', reason }
}
