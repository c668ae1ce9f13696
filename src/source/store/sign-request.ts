import { createHash, createHmac } from 'node:crypto'
import { encodePathname, type Pathname } from '../../files/pathname.js'

/** What proves to a store who asks. */
export interface StoreCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of credentials for a while. */
  readonly sessionToken?: string | undefined
}

/** A request that is to be signed. */
export interface UnsignedRequest {
  readonly method: string
  readonly host: string
  /** As it is sent, with every byte encoded that has to be. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** SHA-256 of its body, in hexadecimal. Default: it has none. */
  readonly bodyHash?: string | undefined
}

const EMPTY_BODY = createHash('sha256').digest('hex')

/**
 * The headers by which a store knows who asks, and that nobody has changed what is asked: AWS Signature Version 4, as S3
 * has it. All headers are signed.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function signRequest(
  { method, host, path, query, headers, bodyHash = EMPTY_BODY }: UnsignedRequest,
  { accessKeyId, secretAccessKey, sessionToken }: StoreCredentials,
  region: string,
  now: Date,
): Record<string, string> {
  const time = formatTime(now)
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`
  const signed: Record<string, string> = { ...headers }
  signed['host'] = host
  signed['x-amz-content-sha256'] = bodyHash
  signed['x-amz-date'] = time
  if (sessionToken !== undefined) signed['x-amz-security-token'] = sessionToken
  const names = Object.keys(signed).toSorted()
  let lines = ''
  for (const name of names) lines += `${name}:${signed[name]?.trim()}\n`
  const signedNames = names.join(';')
  const request = `${method}\n${path}\n${formatQuery(query)}\n${lines}\n${signedNames}\n${bodyHash}`
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${createHash('sha256').update(request).digest('hex')}`
  const signature = createHmac('sha256', signingKey(secretAccessKey, scope)).update(toSign).digest('hex')
  signed['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${signedNames}, Signature=${signature}`
  return signed
}

let lastTime: { readonly second: number; readonly text: string } | undefined

/** `20130524T000000Z` */
function formatTime(now: Date): string {
  const second = Math.floor(now.getTime() / 1000)
  if (lastTime?.second !== second) {
    lastTime = { second, text: now.toISOString().replaceAll(/[-:]|\.\d{3}/g, '') }
  }
  return lastTime.text
}

let lastKey: { readonly secret: string; readonly scope: string; readonly key: Buffer } | undefined

/** It is the same for a day: to make it takes four times as long as to sign by it. */
function signingKey(secret: string, scope: string): Buffer {
  if (lastKey?.secret === secret && lastKey.scope === scope) return lastKey.key
  let key = Buffer.from(`AWS4${secret}`)
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest()
  lastKey = { secret, scope, key }
  return key
}

/** A query as it is signed, and sent: in the order of the names. */
export function formatQuery(query: Readonly<Record<string, string>>): string {
  return Object.keys(query)
    .toSorted()
    .map((name) => `${encodeBytes(name)}=${encodeBytes(query[name] ?? '')}`)
    .join('&')
}

const isPlain = /^[A-Za-z0-9._~-]*$/
/** With the slashes of a key. */
const isPlainPath = /^[A-Za-z0-9._~/-]*$/

/** The path of a key: every byte is encoded but letters, digits, `-`, `.`, `_`, `~` and `/`. */
export function encodeKey(key: Pathname): string {
  // As nearly every one is.
  if (isPlainPath.test(key)) return key
  return encodePathname(key).toString('latin1').split('/').map(encodeLatin1).join('/')
}

function encodeBytes(text: string): string {
  return isPlain.test(text) ? text : encodeLatin1(Buffer.from(text).toString('latin1'))
}

function encodeLatin1(bytes: string): string {
  return bytes.replaceAll(
    /[^A-Za-z0-9._~-]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}
