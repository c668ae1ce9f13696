import type { IncomingMessage } from 'node:http'
import type { ListedObject } from './list-objects.js'
import { brokenOff, type StoreClient, Tries } from './store-client.js'
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
  { start, end }: ByteRange = { start: 0, end: object.size },
): AsyncGenerator<Buffer, void, undefined> {
  const tries = new Tries(client, signal)
  for (let at = start; at < end;) {
    try {
      const answer = await client.send(rangeRequest(object, { start: at, end }), signal)
      try {
        checkAnswer(answer, object, { start: at, end })
        for await (const chunk of answer as AsyncIterable<Buffer>) {
          if (at + chunk.length > end) throw unexpected('it has more bytes than were asked for')
          at += chunk.length
          tries.progress()
          yield chunk
        }
      } catch (error) {
        throw error instanceof StoreError ? error : brokenOff(error)
      } finally {
        answer.destroy()
      }
      if (at < end) throw brokenOff('it ended early')
    } catch (error) {
      await tries.wait(error)
    }
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
        const part = collect(readObject(client, object, both, range))
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

/** Reads a small object whole. @throws {@link StoreError} */
export async function readWholeObject(
  client: StoreClient,
  object: KnownObject,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  return Buffer.concat(await collect(readObject(client, object, signal)))
}

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const parts: Buffer[] = []
  for await (const chunk of chunks) parts.push(chunk)
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
