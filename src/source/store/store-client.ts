import { setMaxListeners } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import type { Pathname } from '../../files/pathname.js'
import { throwIfAborted } from '../../files/yielder.js'
import { findCredentials } from './find-credentials.js'
import { encodeKey, formatQuery, signRequest, type StoreCredentials } from './sign-request.js'
import type { StoreAddress } from './store-address.js'
import { drain, StoreConnections } from './store-connections.js'
import { errorOfAnswer, StoreError, type StoreMethod } from './store-error.js'
import { regionOf, settingsOf, type StoreOptions, type StoreSettings } from './store-settings.js'

/** So often is something tried that does not come any further. */
const MOST_TRIES = 10
const FIRST_DELAY_MS = 50
const LONGEST_DELAY_MS = 20_000

/** That requests are sent again is told so often at most, in milliseconds. */
const TELLING_MS = 1000

/** More of an answer that is an error is not read. */
const MAX_ERROR_BYTES = 64 * 1024

const goodStatuses = new Set([200, 204, 206])

/** A request to the store of a {@link StoreClient}. */
export interface StoreRequest {
  readonly method?: StoreMethod
  /** `undefined`: it is to the bucket. */
  readonly key?: Pathname
  readonly query?: Readonly<Record<string, string>>
  /** By names in lower case. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: StoreBody
}

/** What is sent with a request, and stays as it is until that is answered. */
export interface StoreBody {
  readonly bytes: Uint8Array
  /** SHA-256 of them, in hexadecimal. */
  readonly hash: string
}

/** Speaks to an object store about what is in one bucket, by S3's protocol. */
export class StoreClient {
  readonly address: StoreAddress
  /** How many requests were sent, and how many of them were sent again because of something that may pass. */
  readonly counts = { requests: 0, retries: 0 }
  readonly #options: StoreOptions
  readonly #connections: StoreConnections
  #settings: StoreSettings
  #region: string
  #credentials: Promise<StoreCredentials> | undefined
  /** How much later it is at the store, in milliseconds. */
  #clockSkew = 0
  readonly #onRetry: ((words: string) => void) | undefined
  #toldAt = -Infinity
  #untold = 0

  /**
   * @param connections - how many there are at most
   * @param onRetry - is told that the store is asked again, and why, once a second at most
   * @throws `PbManifestError` `USAGE` or `IO`
   */
  constructor(
    address: StoreAddress,
    options: StoreOptions,
    connections: number,
    onRetry?: (words: string) => void,
  ) {
    this.address = address
    this.#onRetry = onRetry
    this.#options = options
    this.#region = regionOf(options)
    this.#settings = settingsOf(options, address.bucket, this.#region)
    this.#connections = new StoreConnections(this.#settings, connections)
  }

  /**
   * Sends a request, once.
   *
   * @returns the answer; its body is to be read to its end, or destroyed
   * @throws {@link StoreError}
   */
  async send(request: StoreRequest, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    for (let turn = 0; ; turn++) {
      const answer = await this.#exchange(request, signal)
      const status = answer.statusCode ?? 0
      if (goodStatuses.has(status)) return answer
      const body = await readErrorBody(answer)
      const error = errorOfAnswer(status, body, request.key !== undefined, request.method)
      // What the store says about itself is believed once; about the clock, too.
      if (turn > 0 || !this.#learn(error, answer)) throw error
    }
  }

  /** Takes note that a request is sent again, for the time that is said. */
  countRetry({ message }: StoreError, time: number): void {
    this.counts.retries++
    this.#untold++
    const now = performance.now()
    if (now - this.#toldAt < TELLING_MS) return
    const others = this.#untold > 1 ? `; ${this.#untold - 1} more since this was said last` : ''
    this.#onRetry?.(`asking the store again (try ${time} of ${MOST_TRIES}): ${message}${others}`)
    this.#toldAt = now
    this.#untold = 0
  }

  /** Closes all connections. */
  close(): void {
    this.#connections.close()
  }

  async #exchange(request: StoreRequest, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    throwIfAborted(signal)
    const { method = 'GET', key, query = {}, body } = request
    const { host, basePath } = this.#settings
    this.#credentials ??= findCredentials(this.#options.env)
    const credentials = await this.#credentials
    throwIfAborted(signal)
    const path = key === undefined ? basePath.replace(/(?<=.)\/$/, '') : basePath + encodeKey(key)
    const now = new Date(Date.now() + this.#clockSkew)
    const unsigned = { method, host, path, query, headers: request.headers ?? {}, bodyHash: body?.hash }
    const headers = signRequest(unsigned, credentials, this.#region, now)
    const queryText = formatQuery(query)
    this.counts.requests++
    const signed = {
      method,
      path: queryText === '' ? path : `${path}?${queryText}`,
      headers,
      body: body?.bytes,
    }
    return await this.#connections.send(this.#settings, signed, signal)
  }

  /** Whether an answer says what was wrong with the request, so that it can be sent better. */
  #learn(error: StoreError & { readonly region?: string }, { headers }: IncomingMessage): boolean {
    if (error.code === 'RequestTimeTooSkewed') {
      const there = Date.parse(headers.date ?? '')
      if (Number.isNaN(there)) return false
      this.#clockSkew = there - Date.now()
      return true
    }
    if (error.code === 'ExpiredToken') {
      // Somebody may have written new ones.
      this.#credentials = undefined
      return true
    }
    const named = headers['x-amz-bucket-region']
    const region = typeof named === 'string' ? named : error.region
    const isOfRegion = ['PermanentRedirect', 'AuthorizationHeaderMalformed', 'HTTP 301', 'HTTP 400']
    if (region === undefined || region === this.#region || !isOfRegion.includes(error.code)) return false
    if (!/^[a-z0-9-]+$/.test(region)) return false
    this.#region = region
    this.#settings = settingsOf(this.#options, this.address.bucket, region)
    return true
  }
}

/** Tries that go on until one comes to its end, or one fails for good. */
export class Tries {
  readonly #client: StoreClient
  readonly #signal: AbortSignal | undefined
  #failures = 0

  constructor(client: StoreClient, signal: AbortSignal | undefined) {
    this.#client = client
    this.#signal = signal
  }

  /** The last one came further than the one before. */
  progress(): void {
    this.#failures = 0
  }

  /**
   * Waits after a failure, each time longer, until it is time for the next try.
   *
   * @throws that failure, when it will not pass or has been for long enough; `PbManifestError` `ABORTED`
   * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
   */
  async wait(error: unknown): Promise<void> {
    throwIfAborted(this.#signal)
    if (!(error instanceof StoreError) || !error.isPassing || ++this.#failures >= MOST_TRIES) throw error
    this.#client.countRetry(error, this.#failures + 1)
    // All lanes may wait at a time.
    if (this.#signal !== undefined) setMaxListeners(0, this.#signal)
    const most = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures)
    try {
      await setTimeout(Math.random() * most, undefined, this.#signal && { signal: this.#signal })
    } catch {
      throwIfAborted(this.#signal)
    }
  }
}

/** An answer that was read whole. */
export interface StoreAnswer {
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

/**
 * Sends a request as often as it takes, and reads its whole answer.
 *
 * @param check - throws what is wrong with an answer; when that may pass, the request is sent again
 * @throws {@link StoreError}
 */
export async function ask(
  client: StoreClient,
  request: StoreRequest,
  signal: AbortSignal | undefined,
  check?: (answer: StoreAnswer) => void,
): Promise<StoreAnswer> {
  const tries = new Tries(client, signal)
  for (;;) {
    try {
      const answer = await askOnce(client, request, signal)
      check?.(answer)
      return answer
    } catch (error) {
      await tries.wait(error)
    }
  }
}

/** Sends a request, and reads its whole answer. @throws {@link StoreError} */
export async function askOnce(
  client: StoreClient,
  request: StoreRequest,
  signal: AbortSignal | undefined,
): Promise<StoreAnswer> {
  const answer = await client.send(request, signal)
  return { body: await readBody(answer), headers: answer.headers }
}

/** @throws {@link StoreError} when it is cut off */
async function readBody(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  await drain(answer, (part) => void parts.push(part))
  return Buffer.concat(parts).toString('utf8')
}

/** What there is of it, and no more than such a text has. */
async function readErrorBody(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  try {
    await drain(answer, (part) => {
      bytes += part.length
      if (bytes > MAX_ERROR_BYTES) throw new RangeError('this is no error of a store')
      parts.push(part)
    })
  } catch {
    // The status says enough.
  }
  return Buffer.concat(parts).toString('utf8')
}
