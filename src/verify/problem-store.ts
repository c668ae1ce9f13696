import { type Problem, problemKinds } from './report.js'

const CHUNK_BYTES = 1024 * 1024
/** Templates beyond these are written out. */
const MAX_TEMPLATES = 1000
const NO_TEMPLATE = 0xffff
/** Kind, template, and the lengths of path, encoded path, message and detail. */
const HEAD_BYTES = 1 + 2 + 4 * 4
const ABSENT = 0xffff_ffff

/** A message without the path that is in it. */
interface Template {
  readonly before: string
  readonly after: string
}

/**
 * Problems one after the other in few bytes: a file that is missing takes 20 and its path, where an object with its
 * strings takes 250. A backup can have as many problems as its manifest has files.
 */
export class ProblemStore implements Iterable<Problem> {
  readonly #chunks: Buffer[] = []
  /** How many bytes of each chunk are used. */
  readonly #used: number[] = []
  readonly #templates: Template[] = []
  readonly #templateNumbers = new Map<string, number>()

  add({ kind, path, encodedPath, message, detail }: Problem): void {
    const template = this.#templateOf(path, message)
    const texts = [path, encodedPath, template === NO_TEMPLATE ? message : undefined, detail]
    const lengths = texts.map((text) => (text === undefined ? 0 : Buffer.byteLength(text)))
    const chunk = this.#room(lengths.reduce((sum, length) => sum + length, HEAD_BYTES))
    let at = this.#used.at(-1) ?? 0
    at = chunk.writeUInt8(problemKinds.indexOf(kind), at)
    at = chunk.writeUInt16LE(template, at)
    for (const [index, text] of texts.entries()) {
      at = chunk.writeUInt32LE(text === undefined ? ABSENT : (lengths[index] ?? 0), at)
      if (text !== undefined) at += chunk.write(text, at)
    }
    this.#used[this.#used.length - 1] = at
  }

  *[Symbol.iterator](): Generator<Problem, void, undefined> {
    for (const [index, chunk] of this.#chunks.entries()) {
      const reader = new ChunkReader(chunk)
      while (reader.at < (this.#used[index] ?? 0)) yield this.#read(reader)
    }
  }

  #read(reader: ChunkReader): Problem {
    const { kindNumber, template } = reader.head()
    const kind = problemKinds[kindNumber]
    const path = reader.text()
    const encodedPath = reader.text()
    const message = reader.text()
    const detail = reader.text()
    const { before = '', after = '' } = this.#templates[template] ?? {}
    if (kind === undefined) throw new RangeError(`there is no kind ${kindNumber}`)
    return {
      kind,
      ...(path !== undefined && { path }),
      ...(encodedPath !== undefined && { encodedPath }),
      message: message ?? `${before}${path ?? ''}${after}`,
      ...(detail !== undefined && { detail }),
    }
  }

  /** The number of the message's template; {@link NO_TEMPLATE} when it has none. */
  #templateOf(path: string | undefined, message: string): number {
    const start = path === undefined ? -1 : message.indexOf(path)
    if (path === undefined || start === -1) return NO_TEMPLATE
    const before = message.slice(0, start)
    const after = message.slice(start + path.length)
    const key = `${before}\0${after}`
    const known = this.#templateNumbers.get(key)
    if (known !== undefined) return known
    if (this.#templates.length >= MAX_TEMPLATES) return NO_TEMPLATE
    this.#templateNumbers.set(key, this.#templates.length)
    return this.#templates.push({ before, after }) - 1
  }

  /** The last chunk, when so many bytes go into it; else a new one. */
  #room(bytes: number): Buffer {
    const last = this.#chunks.at(-1)
    if (last !== undefined && (this.#used.at(-1) ?? 0) + bytes <= last.length) return last
    const chunk = Buffer.allocUnsafeSlow(Math.max(bytes, CHUNK_BYTES))
    this.#chunks.push(chunk)
    this.#used.push(0)
    return chunk
  }
}

class ChunkReader {
  at = 0
  readonly #chunk: Buffer

  constructor(chunk: Buffer) {
    this.#chunk = chunk
  }

  head(): { readonly kindNumber: number; readonly template: number } {
    const kindNumber = this.#chunk.readUInt8(this.at)
    const template = this.#chunk.readUInt16LE(this.at + 1)
    this.at += 3
    return { kindNumber, template }
  }

  text(): string | undefined {
    const length = this.#chunk.readUInt32LE(this.at)
    this.at += 4
    if (length === ABSENT) return undefined
    const text = this.#chunk.toString('utf8', this.at, this.at + length)
    this.at += length
    return text
  }
}
