import { basename } from 'node:path'
import { NotARegularFileError, openError } from '../../files/open-regular-file.js'
import { encodePathname } from '../../files/pathname.js'
import { readLineBlocks } from '../../files/read-line-blocks.js'
import { ioError } from '../../files/system-error.js'
import { inlineStreams, type Sha256Stream } from '../checksum/sha256-stream.js'
import { createPlainEntry, readPlainEntry, setBytes } from '../server-layout.js'
import { type FragmentSeal, parseFragmentLine, parseFragmentSeal } from './fragment-lines.js'
import { readFileEnd } from '../../files/read-small-file.js'
import { parseFragmentFileName } from './backup-id.js'

/** Longer than the longest pathname, each of its bytes escaped, and the rest of the entry. */
export const MAX_LINE_BYTES: number = 64 * 1024

const LF = 0x0a

/** A file that a fragment records. One object serves for all: whoever is told of it takes what it needs at once. */
export interface FragmentLine {
  /** The line is the bytes from `start` to before `end`, without its end. */
  bytes: Buffer
  start: number
  end: number
  /** The pathname is the bytes of `pathnameBytes` from `pathnameStart` to before `pathnameEnd`. */
  pathnameBytes: Buffer
  pathnameStart: number
  pathnameEnd: number
  size: number
}

/** How a fragment ends. */
export type FragmentEnd =
  | { readonly type: 'seal'; readonly seal: FragmentSeal }
  /** No seal, but whole lines: the worker did not finish. */
  | { readonly type: 'unsealed' }
  /** The end was cut off, in the middle of a line. */
  | { readonly type: 'truncated' }
  /** Not a fragment, or one that was changed. */
  | { readonly type: 'damaged'; readonly reason: string }

export interface ReadFragmentOptions {
  /** Is told of each file. What it hears is to be trusted only when the end is a seal. */
  readonly onLine: (line: FragmentLine) => void
  /** Is called after each piece of the file; reading goes on when its promise, if there is one, is fulfilled. */
  readonly onBlock?: () => Promise<void> | undefined
  /** For the fragment's checksum. */
  readonly hash?: Sha256Stream
}

/**
 * Reads a fragment to its end, or to the first thing that is wrong with it.
 *
 * @throws {@link PbManifestError} `IO`; what the callbacks throw
 */
export async function readFragment(path: string, options: ReadFragmentOptions): Promise<FragmentEnd> {
  const reader = new FragmentReader(options.onLine, options.hash ?? inlineStreams.create())
  try {
    for (const { bytes, isWhole } of readLineBlocks(path, MAX_LINE_BYTES)) {
      reader.read(bytes, isWhole)
      const pause = options.onBlock?.()
      if (pause !== undefined) await pause
      if (reader.isDone) break
    }
    return reader.end()
  } catch (error) {
    if (error instanceof NotARegularFileError) throw openError(path, error)
    throw ioError(`could not read file "${path}"`, error)
  }
}

class FragmentReader {
  readonly #tell: (line: FragmentLine) => void
  readonly #hash: Sha256Stream
  readonly #entry = createPlainEntry()
  readonly #line: FragmentLine
  #files = 0
  #bytes = 0
  #seal: FragmentSeal | undefined
  #fault: FragmentEnd | undefined

  constructor(tell: (line: FragmentLine) => void, hash: Sha256Stream) {
    this.#tell = tell
    this.#hash = hash
    const bytes = Buffer.alloc(0)
    this.#line = { bytes, start: 0, end: 0, pathnameBytes: bytes, pathnameStart: 0, pathnameEnd: 0, size: 0 }
  }

  /** Whether something was wrong, so that the rest does not matter. */
  get isDone(): boolean {
    return this.#fault !== undefined
  }

  read(bytes: Buffer, isWhole: boolean): void {
    if (this.#seal !== undefined) {
      this.#fault = damaged('something follows its seal')
    } else if (isWhole) {
      this.#hash.update(bytes.subarray(0, this.#readLines(bytes)))
    } else {
      // A line that long was cut by the reader, not by an accident.
      this.#fault = bytes.length >= MAX_LINE_BYTES ? this.#tooLong() : { type: 'truncated' }
    }
  }

  end(): FragmentEnd {
    if (this.#fault !== undefined) return this.#fault
    return this.#seal === undefined ? { type: 'unsealed' } : this.#checkSeal(this.#seal)
  }

  /** Returns how many bytes the lines of files take: all, but for a seal and what is wrong. */
  #readLines(bytes: Buffer): number {
    let at = 0
    while (at < bytes.length) {
      let end = this.#readPlainLine(bytes, at)
      if (end === -1) {
        end = bytes.indexOf(LF, at)
        if (!this.#readOtherLine(bytes, at, end)) return at
      }
      at = end + 1
    }
    return at
  }

  /** Nearly every line is as a server writes it, and is read many times faster where it stands than as JSON. */
  #readPlainLine(bytes: Buffer, start: number): number {
    const entry = this.#entry
    setBytes(entry, bytes)
    const end = readPlainEntry(entry, start)
    if (end === -1 || bytes[end] !== LF || end - start > MAX_LINE_BYTES || !entry.hasServerTime) return -1
    const line = this.#line
    line.pathnameBytes = bytes
    line.pathnameStart = entry.pathnameStart
    line.pathnameEnd = entry.pathnameEnd
    line.size = entry.size
    this.#tellLine(bytes, start, end)
    return end
  }

  /** Returns false when nothing may follow this line. */
  #readOtherLine(bytes: Buffer, start: number, end: number): boolean {
    const text = bytes.subarray(start, end)
    if (text.length > MAX_LINE_BYTES) {
      this.#fault = this.#tooLong()
    } else if (isSealLine(text)) {
      this.#seal = parseFragmentSeal(text)
      if (this.#seal === undefined) this.#fault = damaged('its seal is not one')
      else if (end + 1 < bytes.length) this.#fault = damaged('something follows its seal')
    } else {
      return this.#readUnusualLine(bytes, start, end)
    }
    return false
  }

  #readUnusualLine(bytes: Buffer, start: number, end: number): boolean {
    const file = parseFragmentLine(bytes.subarray(start, end))
    if (typeof file === 'string') {
      this.#fault = damaged(`line ${this.#files + 1} is not a manifest file: ${file}`)
      return false
    }
    const line = this.#line
    line.pathnameBytes = encodePathname(file.pathname)
    line.pathnameStart = 0
    line.pathnameEnd = line.pathnameBytes.length
    line.size = file.size
    this.#tellLine(bytes, start, end)
    return true
  }

  #tellLine(bytes: Buffer, start: number, end: number): void {
    const line = this.#line
    line.bytes = bytes
    line.start = start
    line.end = end
    this.#files++
    this.#bytes += line.size
    this.#tell(line)
  }

  #tooLong(): FragmentEnd {
    return damaged(`line ${this.#files + 1} is longer than ${MAX_LINE_BYTES} bytes`)
  }

  #checkSeal(seal: FragmentSeal): FragmentEnd {
    if (seal.files !== this.#files)
      return damaged(`it holds ${this.#files} files, but its seal says ${seal.files}`)
    if (seal.bytes !== this.#bytes)
      return damaged(`its files have ${this.#bytes} bytes, but its seal says ${seal.bytes}`)
    if (seal.fragmentChecksum !== this.#hash.digest()) return damaged('fragment checksum mismatch')
    return { type: 'seal', seal }
  }
}

function isSealLine(line: Buffer): boolean {
  return line.toString('latin1', 0, 22) === '{ "Fragment-Version": '
}

function damaged(reason: string): FragmentEnd {
  return { type: 'damaged', reason }
}

/** More than a seal can have. */
const TAIL_BYTES = 1024

/** Whose fragment a file is. */
export interface FragmentIdentity {
  readonly backupId: string
  readonly worker: number
  /** How many files it records, by its seal. */
  readonly files?: number
}

/**
 * Says whose fragment this is: by its seal, or by its name when it has none.
 *
 * Looks at the end only; whether the seal is true shows when the fragment is read.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function identifyFragment(path: string): FragmentIdentity | undefined {
  const lines = readFileEnd(path, TAIL_BYTES).toString('latin1').split('\n')
  const seal = parseFragmentSeal(Buffer.from(lines.at(-2) ?? '', 'latin1'))
  return seal ?? parseFragmentFileName(basename(path))
}
