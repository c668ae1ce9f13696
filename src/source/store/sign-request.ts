import { createHash, createHmac } from 'node:crypto'

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
  const time = now.toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
  const date = time.slice(0, 8)
  const signed: Record<string, string> = {
    ...headers,
    host,
    'x-amz-content-sha256': bodyHash,
    'x-amz-date': time,
    ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
  }
  const names = Object.keys(signed).toSorted()
  const scope = `${date}/${region}/s3/aws4_request`
  const request = [
    method,
    path,
    formatQuery(query),
    ...names.map((name) => `${name}:${signed[name]?.trim()}`),
    '',
    names.join(';'),
    bodyHash,
  ].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(request).digest('hex')]
  const key = signingKey(secretAccessKey, scope)
  const signature = createHmac('sha256', key).update(toSign.join('\n')).digest('hex')
  return {
    ...signed,
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  }
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

const plain = /[A-Za-z0-9._~-]/

/** Encodes every byte but letters, digits, `-`, `.`, `_`, `~` and those of `also`. */
export function encodeBytes(text: string | Buffer, also = ''): string {
  let encoded = ''
  for (const byte of Buffer.from(text as string)) {
    const character = String.fromCharCode(byte)
    encoded +=
      plain.test(character) || also.includes(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}
