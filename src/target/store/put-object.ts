import { createHash } from 'node:crypto'
import type { Pathname } from '../../files/pathname.js'
import type { FileHasher } from '../../manifest/checksum/file-hasher.js'
import { ask, type StoreAnswer, type StoreBody, type StoreClient } from '../../source/store/store-client.js'
import { damagedOnTheWay, StoreError } from '../../source/store/store-error.js'

/** A checksum that a store compares with what has arrived, and keeps with the object. */
export type StoredChecksum = 'CRC32C' | 'SHA256'

/** How it is made sure that a store has what it was sent. Plain data: it crosses threads. */
export interface StoreChecks {
  /** `undefined`: it refuses them, and is told the MD5. */
  readonly checksum: StoredChecksum | undefined
  /** Whether it is told the MD5 beside the checksum: it does not say that it has looked at that, but may keep it. */
  readonly needsMd5: boolean
  /** Whether its ETag of what came in one piece is the MD5 of that, which is compared then. */
  readonly hasMd5Etags: boolean
  /** Whether it can be told to write only what is not there yet. */
  readonly isConditional: boolean
}

/** Who writes to a store. */
export interface StoreWriting {
  readonly client: StoreClient
  readonly checks: StoreChecks
  /** For what is computed at once. */
  readonly crc32c: FileHasher
}

/** An object that is written. */
export interface WrittenObject {
  readonly key: Pathname
  readonly size: number
  /** Written with it, so that it can be known again: whether a request that was answered by nothing was obeyed. */
  readonly id: string
  /** Whether nothing may be there yet. */
  readonly isNew: boolean
}

export const ID_HEADER = 'x-amz-meta-pbmanifest-upload'
export const CRC32C_HEADER = 'x-amz-checksum-crc32c'
export const ONLY_NEW = { 'if-none-match': '*' } as const
export const CONTENT_TYPE = { 'content-type': 'application/octet-stream' } as const

/**
 * Writes a whole object by one request.
 *
 * @returns what the store says of it; `undefined` when that was lost, and the object is there
 * @throws {@link StoreError}; `PreconditionFailed` for one that is there, where it may not
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
 */
export async function putObject(
  writing: StoreWriting,
  object: WrittenObject,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<StoreAnswer['headers'] | undefined> {
  const { client, checks } = writing
  const { key, id, isNew } = object
  const body = checkedBody(writing, bytes, checks.checksum)
  const conditions = isNew ? { [ID_HEADER]: id, ...(checks.isConditional && ONLY_NEW) } : {}
  const headers = { ...CONTENT_TYPE, ...body.headers, ...conditions }
  try {
    return (await ask(client, { method: 'PUT', key, headers, body }, signal, body.check)).headers
  } catch (error) {
    // It may be there because the request before this one was obeyed.
    if (isCode(error, 'PreconditionFailed') && (await isThere(client, object, signal))) return undefined
    throw error
  }
}

/** Whether a store does not know what it was asked with, and may know the rest. */
export function isRefusal(error: unknown): boolean {
  return (
    error instanceof StoreError &&
    !error.isPassing &&
    ['NotImplemented', 'InvalidArgument', 'InvalidRequest', 'HTTP 400', 'HTTP 501'].includes(error.code)
  )
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof StoreError && error.code === code
}

/** By the metadata: nothing else could have written this. */
export async function isThere(
  client: StoreClient,
  { key, id, size }: WrittenObject,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    const { headers } = await ask(client, { method: 'HEAD', key }, signal)
    return headers[ID_HEADER] === id && Number(headers['content-length']) === size
  } catch (error) {
    if (error instanceof StoreError) return false
    throw error
  }
}

/** What is sent, the headers by which a store finds what was damaged on the way, and a look at what it answers. */
interface CheckedBody extends StoreBody {
  readonly headers: Readonly<Record<string, string>>
  readonly check: (answer: StoreAnswer) => void
}

export function bodyOf(bytes: Uint8Array): StoreBody {
  return { bytes, hash: createHash('sha256').update(bytes).digest('hex') }
}

export function checkedBody(
  { checks, crc32c }: StoreWriting,
  bytes: Uint8Array,
  checksum: StoredChecksum | undefined,
): CheckedBody {
  const body = bodyOf(bytes)
  const headers: Record<string, string> = {}
  const expected: [name: string, value: string][] = []
  if (checksum === undefined || checks.needsMd5) {
    const md5 = createHash('md5').update(bytes).digest()
    headers['content-md5'] = md5.toString('base64')
    if (checks.hasMd5Etags) expected.push(['etag', `"${md5.toString('hex')}"`])
  }
  if (checksum !== undefined) {
    const [header, value] =
      checksum === 'CRC32C'
        ? ([CRC32C_HEADER, base64OfCrc32c(crc32cOf(crc32c, bytes))] as const)
        : (['x-amz-checksum-sha256', Buffer.from(body.hash, 'hex').toString('base64')] as const)
    headers[header] = value
    // As every SDK says it: there are stores that keep only a checksum that was announced.
    headers['x-amz-sdk-checksum-algorithm'] = checksum
    expected.push([header, value])
  }
  return {
    ...body,
    headers,
    check: (answer) => {
      for (const [name, value] of expected) {
        const theirs = answer.headers[name]
        // An ETag that is the MD5 has to be there; a checksum is not told by every store that keeps it.
        if (theirs !== value && (theirs !== undefined || name === 'etag')) throw damagedOnTheWay()
      }
    },
  }
}

function crc32cOf(hasher: FileHasher, bytes: Uint8Array): string {
  hasher.reset()
  hasher.update(bytes)
  return hasher.digest()
}

/** Of a checksum as a manifest has it, which is the other way round. */
export function base64OfCrc32c(digest: string): string {
  return Buffer.from(Buffer.from(digest, 'hex').toReversed()).toString('base64')
}
