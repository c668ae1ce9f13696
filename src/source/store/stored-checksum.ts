import type { IncomingHttpHeaders } from 'node:http'
import type { ListedObject } from './list-objects.js'
import { ask, type StoreClient } from './store-client.js'
import { StoreError } from './store-error.js'

/** By what stores keep checksums of whole objects, of what manifests know. */
export type StoredAlgorithm = 'CRC32C' | 'SHA256'

const digestBytes: Readonly<Record<StoredAlgorithm, number>> = { CRC32C: 4, SHA256: 32 }

export function isStoredAlgorithm(name: string | undefined): name is StoredAlgorithm {
  return name !== undefined && Object.hasOwn(digestBytes, name)
}

/**
 * Whether it is worth asking for the checksum of an object, by what the listing says of it.
 *
 * @param listed - as in {@link ListedObject}
 */
export function mayKeepChecksum(listed: string | undefined, algorithm: StoredAlgorithm): boolean {
  if (listed === undefined) return true
  const words = listed.split(' ')
  return words.includes(algorithm) && !words.includes('COMPOSITE')
}

/**
 * Asks for the checksum that the store keeps of an object, which it computed, or compared, when that was written.
 *
 * @returns the most significant byte first; `undefined` when it keeps none, or one of which it is not sure that it is of
 * the whole object that was listed, or does not say
 * @throws {@link StoreError} when nothing can be had of the store
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
 */
export async function askStoredChecksum(
  client: StoreClient,
  object: Pick<ListedObject, 'key' | 'size' | 'etag'>,
  algorithm: StoredAlgorithm,
  signal: AbortSignal | undefined,
): Promise<Buffer | undefined> {
  const { key, size, etag } = object
  const headers = { 'x-amz-checksum-mode': 'ENABLED', ...(etag !== '' && { 'if-match': etag }) }
  try {
    const answer = await ask(client, { method: 'HEAD', key, headers }, signal)
    // Not every store looks at what was asked for.
    const isListed =
      answer.headers['content-length'] === String(size) && (etag === '' || answer.headers.etag === etag)
    return isListed ? storedChecksum(answer.headers, algorithm) : undefined
  } catch (error) {
    // What is wrong with it, whoever reads it is told.
    if (error instanceof StoreError && error.isOfObject) return undefined
    throw error
  }
}

/**
 * The checksum of a whole object, by what is said of it: of one that came in parts, there may be one of the checksums of these
 * (`COMPOSITE`, `...-3`), which is no use.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 * @see https://cloud.google.com/storage/docs/xml-api/reference-headers#xgooghash
 */
export function storedChecksum(headers: IncomingHttpHeaders, algorithm: StoredAlgorithm): Buffer | undefined {
  const value = headers[`x-amz-checksum-${algorithm.toLowerCase()}`]
  const type = headers['x-amz-checksum-type']
  // Stores that do not know the word have composite ones of what came in parts, which its ETag tells.
  const isWhole = type === undefined ? !/-\d+"?$/.test(headers.etag ?? '') : type === 'FULL_OBJECT'
  if (typeof value === 'string' && isWhole) return decodeDigest(value, algorithm)
  const hashes = headers['x-goog-hash']
  if (typeof hashes !== 'string') return undefined
  const name = `${algorithm.toLowerCase()}=`
  const hash = hashes.split(',').find((part) => part.trim().startsWith(name))
  return hash === undefined ? undefined : decodeDigest(hash.trim().slice(name.length), algorithm)
}

function decodeDigest(text: string, algorithm: StoredAlgorithm): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === digestBytes[algorithm] && bytes.toString('base64') === text.trim()
    ? bytes
    : undefined
}
