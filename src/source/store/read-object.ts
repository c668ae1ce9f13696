import type { IncomingMessage } from 'node:http'
import type { ListedObject } from './list-objects.js'
import { type StoreClient, Tries } from './store-client.js'
import { brokenOff, drain } from './store-connections.js'
import { errorOfAnswer, StoreError } from './store-error.js'

/** What is read at once, and in how many requests, of an object that is long. */
const PART_BYTES = 8 * 1024 * 1024
const PARTS_AHEAD = 4

/** Which of an object's bytes: from the first to before the second. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

type KnownObject = Pick<ListedObject, 'key' | 'size' | 'etag'>

/**
 * Reads an object, or a part of it, from its start to its end; where a connection breaks off, it goes on at that byte over
 * another one. The object is the one that was listed: another one of its key is not read.
 *
 * @throws {@link StoreError} when there is no more to be had
 */
export async function* readObject(
  client: StoreClient,
  object: KnownObject,
  signal: AbortSignal | undefined,
  range: ByteRange = { start: 0, end: object.size },
): AsyncGenerator<Buffer, void, undefined> {
  const reading = new Reading(client, object, signal, range)
  while (!reading.isDone) {
    try {
      const answer = await reading.ask()
      try {
        for await (const chunk of answer as AsyncIterable<Buffer>) {
          reading.pass(chunk)
          yield chunk
        }
      } catch (error) {
        throw error instanceof StoreError ? error : brokenOff(error)
      } finally {
        answer.destroy()
      }
      reading.requireDone()
    } catch (error) {
      await reading.wait(error)
    }
  }
}

/**
 * The same for one who takes each piece as it comes, without iterators between, which take as much time as the checksum of a small object.
 *
 * @param take - what it throws ends the reading; while it has something to wait for, nothing more is read
 * @throws {@link StoreError} when there is no more to be had
 */
export async function takeObject(
  client: StoreClient,
  object: KnownObject,
  signal: AbortSignal | undefined,
  take: (chunk: Buffer) => Promise<void> | void,
  range: ByteRange = { start: 0, end: object.size },
): Promise<void> {
  const reading = new Reading(client, object, signal, range)
  while (!reading.isDone) {
    try {
      const answer = await reading.ask()
      await drain(answer, (chunk) => {
        reading.pass(chunk)
        return take(chunk)
      })
      reading.requireDone()
    } catch (error) {
      await reading.wait(error)
    }
  }
}

/** How far an object has been read. */
class Reading {
  readonly #client: StoreClient
  readonly #object: KnownObject
  readonly #signal: AbortSignal | undefined
  readonly #tries: Tries
  readonly #end: number
  #at: number

  constructor(
    client: StoreClient,
    object: KnownObject,
    signal: AbortSignal | undefined,
    { start, end }: ByteRange,
  ) {
    this.#client = client
    this.#object = object
    this.#signal = signal
    this.#tries = new Tries(client, signal)
    this.#at = start
    this.#end = end
  }

  get isDone(): boolean {
    return this.#at >= this.#end
  }

  /** Asks for all that is left. */
  async ask(): Promise<IncomingMessage> {
    const left = { start: this.#at, end: this.#end }
    const answer = await this.#client.send(rangeRequest(this.#object, left), this.#signal)
    try {
      checkAnswer(answer, this.#object, left)
      return answer
    } catch (error) {
      answer.destroy()
      throw error
    }
  }

  pass(chunk: Buffer): void {
    if (this.#at + chunk.length > this.#end) throw unexpected('it has more bytes than were asked for')
    this.#at += chunk.length
    this.#tries.progress()
  }

  /** Requires that an answer that has ended gave everything. */
  requireDone(): void {
    if (!this.isDone) throw brokenOff('it ended early')
  }

  /** Waits after a failure for the next try. @throws that failure, when there is none */
  async wait(error: unknown): Promise<void> {
    await this.#tries.wait(error)
  }
}

/**
 * The same in several requests beside each other, for an object that is long: their answers are kept until it is their turn, 32 MB
 * at most.
 *
 * @throws {@link StoreError}
 */
export async function* readObjectAhead(
  client: StoreClient,
  object: KnownObject,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const ended = new AbortController()
  const both = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal])
  const parts: Promise<Buffer[]>[] = []
  let start = 0
  try {
    for (;;) {
      for (; parts.length < PARTS_AHEAD && start < object.size; start += PART_BYTES) {
        const range = { start, end: Math.min(start + PART_BYTES, object.size) }
        const part = collect(client, object, both, range)
        // It is awaited in its turn.
        part.catch(() => {})
        parts.push(part)
      }
      const next = parts.shift()
      if (next === undefined) return
      yield* await next
    }
  } finally {
    ended.abort()
  }
}

/** Reads an object, or a part of it, that is small enough to be kept. @throws {@link StoreError} */
export async function readWholeObject(
  client: StoreClient,
  object: KnownObject,
  signal: AbortSignal | undefined,
  range?: ByteRange,
): Promise<Buffer> {
  return Buffer.concat(await collect(client, object, signal, range))
}

/** The pieces in which it came. */
async function collect(
  client: StoreClient,
  object: KnownObject,
  signal: AbortSignal | undefined,
  range: ByteRange | undefined,
): Promise<Buffer[]> {
  const parts: Buffer[] = []
  await takeObject(client, object, signal, (chunk) => void parts.push(chunk), range)
  return parts
}

function rangeRequest({ key, size, etag }: KnownObject, { start, end }: ByteRange) {
  const isWhole = start === 0 && end === size
  return {
    key,
    headers: {
      ...(etag !== '' && { 'if-match': etag }),
      ...(!isWhole && { range: `bytes=${start}-${end - 1}` }),
    },
  }
}

/** Requires that an answer has the bytes that were asked for. */
function checkAnswer(
  { statusCode, headers }: IncomingMessage,
  { size, etag }: KnownObject,
  range: ByteRange,
): void {
  const { start, end } = range
  // Not every store looks at what was asked for.
  if (etag !== '' && headers.etag !== undefined && headers.etag !== etag) {
    throw errorOfAnswer(412, '', true)
  }
  const isWhole = start === 0 && end === size
  const expected = `bytes ${start}-${end - 1}/${size}`
  if (!isWhole && statusCode !== 206) throw unexpected('the store does not give parts of objects')
  if (statusCode === 206 && headers['content-range'] !== expected) {
    throw unexpected(`it has "${headers['content-range'] ?? ''}" in place of "${expected}"`)
  }
  const length = headers['content-length']
  if (length !== undefined && Number(length) !== end - start) {
    throw unexpected(`it has ${length} bytes in place of ${end - start}`)
  }
}

function unexpected(what: string): StoreError {
  return new StoreError({
    code: 'UNEXPECTED_ANSWER',
    message: `the answer is not what was asked for: ${what}`,
    isPassing: true,
    isOfObject: true,
  })
}
