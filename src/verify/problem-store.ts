import { type Problem, type ProblemFacts, problemKinds } from './report.js'

const CHUNK_BYTES = 1024 * 1024
/** Templates beyond these are written out. */
const MAX_TEMPLATES = 1000

/** A message without the path that is in it. */
interface Template {
  readonly before: string
  readonly after: string
}

type FactValue = string | number | readonly number[]

/** Which fact a value is (`size`, `expected` in it), and how it is written. */
interface Fact {
  readonly name: string
  readonly part: string | undefined
  readonly type: 'number' | 'numbers' | 'text' | 'hexadecimal'
}

/**
 * Problems one after the other in few bytes: a file that is missing takes about 10 and its path, where an object with its
 * strings takes 250. A backup can have as many problems as its manifest has files.
 *
 * What many problems have in common is kept once: messages without the path, and which facts there are.
 */
export class ProblemStore implements Iterable<Problem> {
  readonly #chunks: Buffer[] = []
  /** How many bytes of each chunk are used. */
  readonly #used: number[] = []
  readonly #templates = new Numbering<Template>()
  readonly #shapes = new Numbering<readonly Fact[]>()
  readonly #record = new RecordWriter()

  add(problem: Problem): void {
    const { kind, path, encodedPath, message, detail } = problem
    const record = this.#record
    const template = this.#templateOf(path, message)
    record.length = 0
    record.number(problemKinds.indexOf(kind))
    record.number(template)
    record.text(path)
    record.text(encodedPath)
    if (template === 0) record.text(message)
    record.text(detail)
    this.#writeFacts(problem)
    this.#append(record)
  }

  *[Symbol.iterator](): Generator<Problem, void, undefined> {
    for (const [index, chunk] of this.#chunks.entries()) {
      const record = new RecordReader(chunk)
      while (record.at < (this.#used[index] ?? 0)) yield this.#read(record)
    }
  }

  #read(record: RecordReader): Problem {
    const kindNumber = record.number()
    const template = record.number()
    const kind = problemKinds[kindNumber]
    const path = record.text()
    const encodedPath = record.text()
    const { before, after } = this.#templates.get(template) ?? { before: record.text() ?? '', after: '' }
    const detail = record.text()
    if (kind === undefined) throw new RangeError(`there is no kind ${kindNumber}`)
    return {
      kind,
      ...(path !== undefined && { path }),
      ...(encodedPath !== undefined && { encodedPath }),
      message: template === 0 ? before : `${before}${path ?? ''}${after}`,
      ...(detail !== undefined && { detail }),
      ...this.#readFacts(record),
    }
  }

  /** The number of the message's template; 0 when it has none. */
  #templateOf(path: string | undefined, message: string): number {
    if (path === undefined) return 0
    const last = this.#templates.last
    if (last !== undefined && isMadeOf(message, last, path)) return this.#templates.lastNumber
    const start = message.indexOf(path)
    if (start === -1) return 0
    const before = message.slice(0, start)
    const after = message.slice(start + path.length)
    const key = `${before}\0${after}`
    if (this.#templates.size >= MAX_TEMPLATES) return this.#templates.find(key)
    return this.#templates.of(key, () => ({ before, after }))
  }

  #writeFacts(problem: Problem): void {
    const facts: Fact[] = []
    const values: FactValue[] = []
    const take = (name: string, part: string | undefined, value: FactValue): void => {
      facts.push({ name, part, type: typeOf(value) })
      values.push(value)
    }
    for (const name in problem) {
      if (words.has(name)) continue
      const value = problem[name as keyof ProblemFacts] as FactValue | Record<string, FactValue>
      if (isOneValue(value)) take(name, undefined, value)
      else for (const part in value) take(name, part, value[part] as FactValue)
    }
    this.#record.number(this.#shapeOf(facts))
    for (const [index, value] of values.entries()) this.#record.value(value, facts[index]?.type)
  }

  /** The number of the shape that has these facts; 0 of none. */
  #shapeOf(facts: readonly Fact[]): number {
    if (facts.length === 0) return 0
    const last = this.#shapes.last
    if (last !== undefined && isSameShape(facts, last)) return this.#shapes.lastNumber
    const key = facts.map(({ name, part, type }) => `${name}.${part}:${type}`).join(' ')
    return this.#shapes.of(key, () => facts)
  }

  #readFacts(record: RecordReader): ProblemFacts {
    const shape = this.#shapes.get(record.number()) ?? []
    const facts: Record<string, FactValue | Record<string, FactValue>> = {}
    for (const { name, part, type } of shape) {
      const value = record.value(type)
      if (part === undefined) facts[name] = value
      else facts[name] = { ...(facts[name] as Record<string, FactValue> | undefined), [part]: value }
    }
    return facts
  }

  /** Puts a record behind the others of the last chunk, or into a new one. */
  #append({ bytes, length }: RecordWriter): void {
    let chunk = this.#chunks.at(-1)
    let at = this.#used.at(-1) ?? 0
    if (chunk === undefined || at + length > chunk.length) {
      chunk = Buffer.allocUnsafeSlow(Math.max(length, CHUNK_BYTES))
      this.#chunks.push(chunk)
      this.#used.push(0)
      at = 0
    }
    bytes.copy(chunk, at, 0, length)
    this.#used[this.#used.length - 1] = at + length
  }
}

/** What of a problem is no fact, but stored otherwise. */
const words: ReadonlySet<string> = new Set(['kind', 'path', 'encodedPath', 'message', 'detail'])

function isOneValue(value: FactValue | Record<string, FactValue>): value is FactValue {
  return typeof value !== 'object' || Array.isArray(value)
}

function isMadeOf(message: string, { before, after }: Template, path: string): boolean {
  return (
    message.length === before.length + path.length + after.length &&
    message.startsWith(before) &&
    message.endsWith(after) &&
    message.startsWith(path, before.length)
  )
}

function isSameShape(facts: readonly Fact[], others: readonly Fact[]): boolean {
  if (facts.length !== others.length) return false
  return facts.every(({ name, part, type }, index) => {
    const other = others[index]
    return other?.name === name && other.part === part && other.type === type
  })
}

function typeOf(value: FactValue): Fact['type'] {
  if (typeof value === 'number') return 'number'
  if (typeof value !== 'string') return 'numbers'
  return /^(?:[0-9a-f]{2})+$/.test(value) ? 'hexadecimal' : 'text'
}

/** Things that are kept once each, by numbers from 1. */
class Numbering<Thing> {
  readonly #things: Thing[] = []
  readonly #numbers = new Map<string, number>()

  get size(): number {
    return this.#things.length
  }

  /** The one that was asked for last, and its number: the next one is mostly the same. */
  last: Thing | undefined
  lastNumber = 0

  /** 0 when it has none. */
  find(key: string): number {
    const number = this.#numbers.get(key) ?? 0
    if (number !== 0) this.#remember(number)
    return number
  }

  of(key: string, make: () => Thing): number {
    const known = this.find(key)
    if (known !== 0) return known
    const number = this.#things.push(make())
    this.#numbers.set(key, number)
    this.#remember(number)
    return number
  }

  #remember(number: number): void {
    this.last = this.get(number)
    this.lastNumber = number
  }

  get(number: number): Thing | undefined {
    return this.#things[number - 1]
  }
}

/** The bytes of one record. Numbers, up to 2^53, are written in groups of seven bits, the lowest first. */
class RecordWriter {
  bytes: Buffer = Buffer.allocUnsafeSlow(4096)
  length = 0

  number(value: number): void {
    this.#reserve(8)
    let rest = value
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) this.bytes[this.length++] = (rest % 0x80) | 0x80
    this.bytes[this.length++] = rest
  }

  text(value: string | undefined): void {
    this.#bytes(value, 'utf8')
  }

  value(value: FactValue, type: Fact['type'] | undefined): void {
    if (typeof value === 'number') this.number(value)
    else if (typeof value === 'string') this.#bytes(value, type === 'hexadecimal' ? 'hex' : 'utf8')
    else {
      this.number(value.length)
      for (const item of value) this.number(item)
    }
  }

  /** Its length from 1, or 0 when there is none, and itself. */
  #bytes(value: string | undefined, encoding: 'utf8' | 'hex'): void {
    if (value === undefined) return this.number(0)
    const length = Buffer.byteLength(value, encoding)
    this.number(length + 1)
    this.#reserve(length)
    this.length += this.bytes.write(value, this.length, encoding)
  }

  #reserve(bytes: number): void {
    if (this.length + bytes <= this.bytes.length) return
    const longer = Buffer.allocUnsafeSlow(2 * (this.length + bytes))
    this.bytes.copy(longer, 0, 0, this.length)
    this.bytes = longer
  }
}

/** Reads what a {@link RecordWriter} wrote. */
class RecordReader {
  at = 0
  readonly #chunk: Buffer

  constructor(chunk: Buffer) {
    this.#chunk = chunk
  }

  number(): number {
    let value = 0
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#chunk[this.at++] ?? 0
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }

  text(): string | undefined {
    return this.#bytes('utf8')
  }

  value(type: Fact['type']): FactValue {
    if (type === 'number') return this.number()
    if (type === 'numbers') return Array.from({ length: this.number() }, () => this.number())
    return this.#bytes(type === 'hexadecimal' ? 'hex' : 'utf8') ?? ''
  }

  #bytes(encoding: 'utf8' | 'hex'): string | undefined {
    const length = this.number()
    if (length === 0) return undefined
    const start = this.at
    this.at += length - 1
    return this.#chunk.toString(encoding, start, this.at)
  }
}
