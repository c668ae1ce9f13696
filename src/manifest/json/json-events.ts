import { displayPathname } from '../../files/pathname.js'
import { JsonLexer, JsonSyntaxError, type JsonToken } from './json-lexer.js'

/** What a JSON text says, told as it is read. Each `offset` is where the token stands in the whole input. */
export interface JsonEvents {
  objectStart(): void
  objectEnd(offset: number): void
  arrayStart(): void
  arrayEnd(offset: number): void
  field(name: string): void
  /** `text` is the string's characters, or the spelling of a number, `true`, `false` or `null`. */
  scalar(text: string, offset: number): void
  /**
   * Is asked before an element of an array is read, and may read elements itself, with the separators before them.
   *
   * @returns how many bytes of `pending` it has read; 0 leaves the element to the reader
   */
  readElements(pending: Buffer, isFirst: boolean, offset: number): number
}

type Expectation = 'value' | 'first element' | 'first key' | 'key' | 'colon' | 'next' | 'end'

const expectedWords: Readonly<Record<Exclude<Expectation, 'next' | 'colon' | 'end'>, string>> = {
  value: 'JSON value',
  'first element': 'array element or "]"',
  'first key': 'string or "}"',
  key: 'string',
}

/** Checks JSON's grammar over the tokens of a stream, and tells what it reads to `events`. */
export class JsonEventReader {
  readonly #lexer = new JsonLexer()
  readonly #events: JsonEvents
  readonly #open: ('{' | '[')[] = []
  #expectation: Expectation = 'value'

  constructor(events: JsonEvents) {
    this.#events = events
  }

  /** Reads as many whole tokens as there are in the bytes so far. */
  write(chunk: Buffer): void {
    this.#lexer.write(chunk)
    this.#offerElements()
    for (let token = this.#lexer.next(); token !== undefined; token = this.#lexer.next()) {
      this.#accept(token)
      this.#offerElements()
    }
  }

  /** Reads the rest, and insists that the text is complete. */
  end(): void {
    this.#lexer.end()
    for (let token = this.#lexer.next(); token !== undefined; token = this.#lexer.next()) {
      if (token.type === 'end') break
      this.#accept(token)
    }
    if (this.#expectation !== 'end') throw JsonSyntaxError.endedUnexpectedly()
  }

  #offerElements(): void {
    const isFirst = this.#expectation === 'first element'
    if (!isFirst && !(this.#expectation === 'next' && this.#open.at(-1) === '[')) return
    const length = this.#events.readElements(this.#lexer.pending, isFirst, this.#lexer.offset)
    if (length === 0) return
    this.#lexer.skip(length)
    this.#expectation = 'next'
  }

  #accept(token: JsonToken): void {
    switch (this.#expectation) {
      case 'value':
        return this.#value(token)
      case 'first element':
        return token.type === ']' ? this.#close(token) : this.#value(token)
      case 'first key':
        return token.type === '}' ? this.#close(token) : this.#key(token)
      case 'key':
        return this.#key(token)
      case 'colon':
        if (token.type !== ':') throw unexpected('":"', token)
        this.#expectation = 'value'
        return undefined
      case 'next':
        return this.#next(token)
      case 'end':
        throw unexpected('end of input', token)
      default:
        return this.#expectation satisfies never
    }
  }

  #value(token: JsonToken): void {
    switch (token.type) {
      case '{':
        this.#open.push('{')
        this.#expectation = 'first key'
        return this.#events.objectStart()
      case '[':
        this.#open.push('[')
        this.#expectation = 'first element'
        return this.#events.arrayStart()
      case 'string':
      case 'number':
      case 'true':
      case 'false':
      case 'null':
        this.#valueDone()
        return this.#events.scalar(token.text, token.offset)
      case '}':
      case ']':
      case ',':
      case ':':
      case 'end':
        throw unexpected(
          expectedWords[this.#expectation === 'first element' ? 'first element' : 'value'],
          token,
        )
      default:
        return token.type satisfies never
    }
  }

  #key(token: JsonToken): void {
    if (token.type !== 'string') {
      throw unexpected(expectedWords[this.#expectation === 'first key' ? 'first key' : 'key'], token)
    }
    this.#expectation = 'colon'
    this.#events.field(token.text)
  }

  #next(token: JsonToken): void {
    const isObject = this.#open.at(-1) === '{'
    const closing = isObject ? '}' : ']'
    if (token.type === ',') {
      this.#expectation = isObject ? 'key' : 'value'
    } else if (token.type === closing) {
      this.#close(token)
    } else {
      throw unexpected(`"," or "${closing}"`, token)
    }
  }

  #close(token: JsonToken): void {
    this.#open.pop()
    this.#valueDone()
    if (token.type === '}') this.#events.objectEnd(token.offset)
    else this.#events.arrayEnd(token.offset)
  }

  #valueDone(): void {
    this.#expectation = this.#open.length === 0 ? 'end' : 'next'
  }
}

function unexpected(expected: string, token: JsonToken): JsonSyntaxError {
  return new JsonSyntaxError(`Expected ${expected}, but found "${displayPathname(token.text)}".`)
}
