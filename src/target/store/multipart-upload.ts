import type { Pathname } from '../../files/pathname.js'
import { readXml, textOf } from '../../source/store/read-xml.js'
import { ask, askOnce, type StoreAnswer, type StoreClient, Tries } from '../../source/store/store-client.js'
import { brokenOff } from '../../source/store/store-connections.js'
import { errorOfAnswer, StoreError } from '../../source/store/store-error.js'
import {
  bodyOf,
  checkedBody,
  CONTENT_TYPE,
  CRC32C_HEADER,
  ID_HEADER,
  isCode,
  isRefusal,
  isThere,
  ONLY_NEW,
  type StoreWriting,
  type WrittenObject,
} from './put-object.js'

/** An object that is written in parts. */
export interface StartedUpload {
  readonly uploadId: string
  /** Whether the store computes a CRC-32C of the parts, and of all of them together. */
  readonly hasChecksums: boolean
}

/**
 * Begins to write an object in parts.
 *
 * @throws {@link StoreError}
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
 */
export async function startUpload(
  { client, checks }: StoreWriting,
  { key, id }: WrittenObject,
  signal: AbortSignal | undefined,
): Promise<StartedUpload> {
  const start = async (wantsChecksums: boolean): Promise<StartedUpload> => {
    const asked = {
      ...CONTENT_TYPE,
      [ID_HEADER]: id,
      ...(wantsChecksums && { 'x-amz-checksum-algorithm': 'CRC32C', 'x-amz-checksum-type': 'FULL_OBJECT' }),
    }
    const request = { method: 'POST', key, query: { uploads: '' }, headers: asked } as const
    const { body, headers } = await ask(client, request, signal)
    const uploadId = textOf(readXml(body), 'UploadId')
    if (uploadId === undefined || uploadId === '') {
      throw new StoreError({ code: 'UNEXPECTED_ANSWER', message: 'the store has begun no upload' })
    }
    // One that does not say so may make nothing of the parts when it is told their checksums.
    return { uploadId, hasChecksums: wantsChecksums && headers['x-amz-checksum-algorithm'] === 'CRC32C' }
  }
  const wanted = checks.checksum !== undefined
  try {
    return await start(wanted)
  } catch (error) {
    // Not every store has checksums of objects in parts.
    if (wanted && isRefusal(error)) return await start(false)
    throw error
  }
}

/** What a store says of a part, which it is told when all are there. */
export interface UploadedPart {
  readonly number: number
  readonly etag: string
  readonly crc32c: string | undefined
}

/**
 * Writes a part.
 *
 * @throws {@link StoreError}
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
 */
export async function putPart(
  writing: StoreWriting,
  key: Pathname,
  { uploadId, hasChecksums }: StartedUpload,
  { number, bytes }: { readonly number: number; readonly bytes: Uint8Array },
  signal: AbortSignal | undefined,
): Promise<UploadedPart> {
  const body = checkedBody(writing, bytes, hasChecksums ? 'CRC32C' : undefined)
  const query = { partNumber: String(number), uploadId }
  const request = { method: 'PUT', key, query, headers: { ...CONTENT_TYPE, ...body.headers }, body } as const
  const { headers } = await ask(writing.client, request, signal, body.check)
  return { number, etag: headers.etag ?? '', crc32c: body.headers[CRC32C_HEADER] }
}

/**
 * Makes an object of its parts. Whatever the answer, or none at all: it returns only when the object is there, and is what was sent as far as the store says.
 *
 * @param crc32c - of the whole object, in Base64
 * @throws {@link StoreError}
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 */
export async function completeUpload(
  { client, checks }: StoreWriting,
  object: WrittenObject,
  { uploadId, hasChecksums }: StartedUpload,
  { parts, crc32c }: { readonly parts: readonly UploadedPart[]; readonly crc32c: string },
  signal: AbortSignal | undefined,
): Promise<void> {
  const request = {
    method: 'POST',
    key: object.key,
    query: { uploadId },
    headers: {
      'content-type': 'application/xml',
      ...(hasChecksums && { [CRC32C_HEADER]: crc32c, 'x-amz-checksum-type': 'FULL_OBJECT' }),
      ...(object.isNew && checks.isConditional && ONLY_NEW),
    },
    body: bodyOf(Buffer.from(formatParts(parts))),
  } as const
  const tries = new Tries(client, signal)
  for (;;) {
    try {
      return requireCompleted(await askOnce(client, request, signal), hasChecksums ? crc32c : undefined)
    } catch (error) {
      // A request whose answer was lost may have been obeyed; then there is no such upload any more. Not so when what is there is wrong.
      const isDamaged = isCode(error, 'BadDigest')
      if (error instanceof StoreError && !isDamaged && (await isThere(client, object, signal))) return
      await tries.wait(error)
    }
  }
}

/** Gives up an object that is written in parts, and those that are there. */
export async function abortUpload(
  client: StoreClient,
  key: Pathname,
  uploadId: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await ask(client, { method: 'DELETE', key, query: { uploadId } }, signal)
  } catch (error) {
    if (!isCode(error, 'NoSuchUpload')) throw error
  }
}

/** With status 200 a store only says that it has begun: how it ended stands in the body. */
function requireCompleted({ body }: StoreAnswer, crc32c: string | undefined): void {
  const root = readXml(body)
  if (root === undefined) throw brokenOff('it is no XML')
  if (root.name === 'Error') throw errorOfAnswer(200, body, true, 'POST')
  if (root.name !== 'CompleteMultipartUploadResult') {
    throw new StoreError({ code: 'UNEXPECTED_ANSWER', message: `the store answered with "${root.name}"` })
  }
  const theirs = textOf(root, 'ChecksumCRC32C')
  if (crc32c !== undefined && theirs !== undefined && theirs !== '' && theirs !== crc32c) {
    throw new StoreError({
      code: 'BadDigest',
      message: 'what the store made of the parts is not what was sent',
    })
  }
}

function formatParts(parts: readonly UploadedPart[]): string {
  const lines = parts.map(({ number, etag, crc32c }) => {
    const checksum = crc32c === undefined ? '' : `<ChecksumCRC32C>${crc32c}</ChecksumCRC32C>`
    const escaped = etag.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
    return `<Part><PartNumber>${number}</PartNumber><ETag>${escaped}</ETag>${checksum}</Part>`
  })
  const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/'
  return `<CompleteMultipartUpload xmlns="${namespace}">${lines.join('')}</CompleteMultipartUpload>`
}
