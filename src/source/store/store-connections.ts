import { setMaxListeners } from 'node:events'
import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { PbManifestError } from '../../errors.js'
import { errorOfConnection, StoreError, type StoreMethod } from './store-error.js'
import type { StoreSettings } from './store-settings.js'

/** So long may a store be silent, in milliseconds. */
const SILENCE_MS = 60_000

/** What is sent, as it is signed. */
export interface SignedRequest {
  readonly method: StoreMethod
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

/** The connections to a store: each is used for one request after the other. */
export class StoreConnections {
  readonly #agent: HttpAgent
  readonly #ending = new WeakMap<AbortSignal, RequestsOfSignal>()

  /** @param connections - how many there are at most */
  constructor({ endpoint, ca }: StoreSettings, connections: number) {
    const limits = {
      keepAlive: true,
      maxSockets: connections,
      maxFreeSockets: connections,
      // Were it said for each request only, a timer would be set anew before and after each.
      timeout: SILENCE_MS,
    }
    this.#agent =
      endpoint.protocol === 'https:'
        ? new StoreAgentOverTls({ ...limits, ...(ca !== undefined && { ca }) })
        : new StoreAgent(limits)
  }

  /**
   * Sends a request.
   *
   * @returns the answer, of any status; its body is to be read to its end, or destroyed
   * @throws {@link StoreError}; {@link PbManifestError} `ABORTED`
   */
  async send(
    { endpoint, hostname }: StoreSettings,
    { method, path, headers, body }: SignedRequest,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    return await new Promise((resolve, reject) => {
      const send = endpoint.protocol === 'https:' ? httpsRequest : httpRequest
      const sent = send({
        agent: this.#agent,
        method,
        hostname,
        port: endpoint.port === '' ? undefined : Number(endpoint.port),
        path,
        headers: linesOf(method, headers, body),
        timeout: SILENCE_MS,
      })
      sent.on('timeout', () => sent.destroy(new Error(`it gave nothing for ${SILENCE_MS / 1000} s`)))
      sent.on('error', (error) => {
        if (signal?.aborted === true) reject(new PbManifestError('ABORTED', 'aborted', { cause: error }))
        else reject(errorOfConnection(error, endpoint.origin))
      })
      sent.on('response', resolve)
      if (signal !== undefined) this.#endWith(signal, sent)
      sent.end(body)
    })
  }

  /** Closes all. */
  close(): void {
    this.#agent.destroy()
  }

  #endWith(signal: AbortSignal, request: ClientRequest): void {
    const known = this.#ending.get(signal)
    if (known === undefined) this.#ending.set(signal, new RequestsOfSignal(signal, request))
    else known.add(request)
  }
}

type Place = Parameters<HttpAgent['getName']>[0]

/** Node's makes a name of all that could be different, twice for each request. */
class StoreAgent extends HttpAgent {
  override getName(place?: Place): string {
    return placeOf(place)
  }
}

class StoreAgentOverTls extends HttpsAgent {
  override getName(place?: Place): string {
    return placeOf(place)
  }
}

/** What is different in connections to a store: where it redirects to. */
function placeOf(place: Place): string {
  return `${place?.host}:${place?.port}`
}

/** Names and values in turn, which Node writes without looking for what may be missing. */
function linesOf(
  method: StoreMethod,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array | undefined,
): string[] {
  const lines: string[] = []
  for (const name of Object.keys(headers)) lines.push(name, headers[name] ?? '')
  const hasBody = method === 'PUT' || method === 'POST' || body !== undefined
  if (hasBody) lines.push('content-length', String(body?.length ?? 0))
  return lines
}

/** The requests that are on their way and end with a signal: one listener for all of them, as one for each costs as much as signing. */
class RequestsOfSignal {
  readonly #signal: AbortSignal
  readonly #requests = new Set<ClientRequest>()
  readonly #abort = (): void => {
    for (const request of this.#requests) request.destroy(new Error('aborted'))
  }

  constructor(signal: AbortSignal, first: ClientRequest) {
    this.#signal = signal
    // Each connection's other waiting has listeners of its own.
    setMaxListeners(0, signal)
    this.add(first)
  }

  add(request: ClientRequest): void {
    if (this.#requests.size === 0) this.#signal.addEventListener('abort', this.#abort)
    this.#requests.add(request)
    request.on('close', () => {
      this.#requests.delete(request)
      if (this.#requests.size === 0) this.#signal.removeEventListener('abort', this.#abort)
    })
    if (this.#signal.aborted) this.#abort()
  }
}

/**
 * Gives the body of an answer away piece by piece, to its end.
 *
 * @param take - what it throws ends the reading; while it has something to wait for, nothing more is read
 * @throws {@link StoreError} when the body is cut off
 */
export async function drain(
  answer: IncomingMessage,
  take: (chunk: Buffer) => Promise<void> | void,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error: unknown): void => {
      reject(error)
      answer.destroy()
    }
    answer.on('data', (chunk: Buffer) => {
      try {
        const waiting = take(chunk)
        if (waiting === undefined) return
        answer.pause()
        waiting.then(() => answer.resume(), fail)
      } catch (error) {
        fail(error)
      }
    })
    answer.on('end', resolve)
    answer.on('error', (error) => reject(brokenOff(error)))
    answer.on('close', () => {
      if (!answer.readableEnded && answer.errored === null) reject(brokenOff('the connection was closed'))
    })
  })
}

/** The body of an answer has not come to its end. */
export function brokenOff(cause: unknown): StoreError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new StoreError({
    code: 'BROKEN_OFF',
    message: `the answer was cut off: ${reason}`,
    isPassing: true,
    isOfObject: true,
    cause,
  })
}
