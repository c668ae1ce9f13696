import { readFileSync } from 'node:fs'
import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'

/** A request that came by, as the store sees it. */
export interface SeenRequest {
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly range: string | undefined
  readonly headers: IncomingMessage['headers']
}

/** What is done with an answer. */
export type Fault =
  /** The connection is cut: before the answer, or after so many bytes of its body. */
  | { readonly type: 'cut'; readonly after?: number }
  /** Another answer takes its place; the store does not hear of the request. */
  | {
      readonly type: 'answer'
      readonly status: number
      readonly body?: string
      readonly headers?: Readonly<Record<string, string>>
    }
  /** The byte at this place of the body is another one. */
  | { readonly type: 'flip'; readonly at: number }
  /** The body is another one; the headers stay. */
  | { readonly type: 'body'; readonly change: (body: string) => string }
  /** The store obeys, and nobody hears of it. */
  | { readonly type: 'lose' }
  /** The byte at this place of what is sent to the store is another one. */
  | { readonly type: 'flip-sent'; readonly at: number }
  /** The connection is cut when so many bytes of what is sent have come; the store has a part of it. */
  | { readonly type: 'cut-sent'; readonly after: number }

/** An answer of a store that is an error. */
export function errorAnswer(status: number, code: string, headers: Record<string, string> = {}): Fault {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>as the test wants it</Message></Error>`
  return { type: 'answer', status, body, headers }
}

/**
 * A place between a client and a real store, with TLS, where answers can be damaged: {@link at} is asked for each. It keeps the checksums
 * of what is written through it, as AWS does, and as no S3 server of npm does.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
 */
export class StoreProxy {
  readonly requests: SeenRequest[] = []
  /** What a HEAD that asks for it is told of checksums, by path; tests may change it. */
  readonly checksums: Map<string, Readonly<Record<string, string>>> = new Map()
  /** Whether it keeps those of objects in parts, too: what is behind it has to bear being told of them. */
  keepsChecksumsOfParts = false
  at: (request: SeenRequest) => Fault | undefined | Promise<Fault | undefined> = () => undefined
  readonly #server: Server
  readonly #upstream: string

  private constructor(upstream: string, certificate: { readonly cert: string; readonly key: string }) {
    this.#upstream = upstream
    const { cert, key } = certificate
    this.#server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (asked, answer) => {
      this.#serve(asked, answer).catch(() => answer.destroy())
    })
  }

  static async start(
    upstream: string,
    certificate: { readonly cert: string; readonly key: string },
  ): Promise<StoreProxy> {
    const proxy = new StoreProxy(upstream, certificate)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}`
  }

  /** Lets everything through again, and forgets what came by. */
  reset(): void {
    this.at = () => undefined
    this.requests.length = 0
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #keepChecksums(pathname: string, headers: IncomingMessage['headers']): void {
    const kept = Object.entries(headers).flatMap(([name, value]) =>
      /^x-amz-checksum-(?:crc32c|sha256)$/.test(name) ? [[name, String(value)]] : [],
    )
    if (kept.length === 0) this.checksums.delete(pathname)
    else this.checksums.set(pathname, { ...Object.fromEntries(kept), 'x-amz-checksum-type': 'FULL_OBJECT' })
  }

  async #serve(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = asked
    const seen = { method, url, range: headers.range, headers }
    this.requests.push(seen)
    const fault = await this.at(seen)
    // Whoever asked has gone meanwhile: nobody wants it any more.
    if (answer.destroyed) return
    if (fault?.type === 'cut' && fault.after === undefined) return void answer.destroy()
    if (fault?.type === 'answer') {
      answer.writeHead(fault.status, { connection: 'close', ...fault.headers })
      return void answer.end(method === 'HEAD' ? undefined : fault.body)
    }
    const upstream = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = request(this.#upstream + url, { method, headers }, resolve)
      sent.on('error', reject)
      if (fault?.type === 'flip-sent') void sendFlipped(asked, sent, fault.at)
      else if (fault?.type === 'cut-sent') void sendPart(asked, sent, fault.after)
      else asked.pipe(sent)
    })
    const { pathname } = new URL(url, this.#upstream)
    // Of what comes in parts, the last request has that of the whole.
    const isWhole =
      method === 'PUT' ? !url.includes('partNumber=') : method === 'POST' && url.includes('uploadId=')
    if (isWhole) this.#keepChecksums(pathname, headers)
    if (this.keepsChecksumsOfParts && method === 'POST' && url.endsWith('?uploads='))
      upstream.headers['x-amz-checksum-algorithm'] = headers['x-amz-checksum-algorithm']
    if (method === 'HEAD' && headers['x-amz-checksum-mode'] === 'ENABLED')
      Object.assign(upstream.headers, this.checksums.get(pathname))
    if (fault?.type === 'lose' || fault?.type === 'cut-sent') {
      upstream.resume()
      return void upstream.on('end', () => answer.destroy())
    }
    if (fault?.type === 'body') delete upstream.headers['content-length']
    answer.writeHead(upstream.statusCode ?? 0, upstream.headers)
    if (fault === undefined || fault.type === 'flip-sent' || method === 'HEAD')
      return void upstream.pipe(answer)
    const parts: Buffer[] = []
    for await (const part of upstream as AsyncIterable<Buffer>) parts.push(part)
    const body = Buffer.concat(parts)
    switch (fault.type) {
      case 'cut': {
        answer.write(body.subarray(0, fault.after), () => answer.destroy())
        return
      }
      case 'flip': {
        const at = Math.min(fault.at, body.length - 1)
        if (at >= 0) body.writeUInt8(body.readUInt8(at) ^ 1, at)
        return void answer.end(body)
      }
      case 'body':
        return void answer.end(fault.change(body.toString('utf8')))
      default:
        return fault satisfies never
    }
  }
}

async function sendFlipped(asked: IncomingMessage, sent: ClientRequest, at: number): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of asked as AsyncIterable<Buffer>) parts.push(part)
  const body = Buffer.concat(parts)
  const place = Math.min(at, body.length - 1)
  if (place >= 0) body.writeUInt8(body.readUInt8(place) ^ 1, place)
  sent.end(body)
}

async function sendPart(asked: IncomingMessage, sent: ClientRequest, after: number): Promise<void> {
  let left = after
  for await (const part of asked as AsyncIterable<Buffer>) {
    sent.write(part.subarray(0, left))
    left -= part.length
    if (left <= 0) break
  }
  asked.destroy()
  sent.destroy()
}
