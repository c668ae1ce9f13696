import { decodePathname, displayPathname, type Pathname } from '../../files/pathname.js'
import { ask, type StoreClient } from './store-client.js'
import { StoreError } from './store-error.js'
import { readXml, textOf, type XmlElement } from './read-xml.js'

/** An object below a prefix, as the store lists it. */
export interface ListedObject {
  readonly key: Pathname
  /** The key without the prefix. */
  readonly pathname: Pathname
  readonly size: number
  /** Tells its content from any other that was ever there. */
  readonly etag: string
  readonly modified: Date
  /** `STANDARD` and so on. */
  readonly storageClass: string
  /** By which algorithms the store keeps a checksum of it, and of which type: `CRC32C FULL_OBJECT`; `undefined`: it does not say. */
  readonly checksums: string | undefined
}

/**
 * Lists all objects below the prefix of the client's address, page after page, in the store's order.
 *
 * @throws {@link StoreError}; also when the pages do not fit each other
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 */
export async function listObjects(
  client: StoreClient,
  signal: AbortSignal | undefined,
): Promise<readonly ListedObject[]> {
  const { prefix } = client.address
  const objects = new Map<Pathname, ListedObject>()
  const tokens = new Set<string>()
  for (let token: string | undefined; ;) {
    const query = {
      'list-type': '2',
      'encoding-type': 'url',
      ...(prefix !== '' && { prefix }),
      ...(token !== undefined && { 'continuation-token': token }),
    }
    const page = readXml((await ask(client, { query }, signal)).body)
    if (page?.name !== 'ListBucketResult') throw badListing('the answer is no listing')
    const isEncoded = textOf(page, 'EncodingType') === 'url'
    for (const element of page.children) {
      if (element.name !== 'Contents') continue
      const object = readObjectOf(element, prefix, isEncoded)
      if (objects.has(object.key)) {
        throw badListing(`it names "${displayPathname(object.key)}" twice: it has changed meanwhile`)
      }
      objects.set(object.key, object)
    }
    if (textOf(page, 'IsTruncated') !== 'true') return [...objects.values()]
    token = textOf(page, 'NextContinuationToken')
    if (token === undefined || tokens.has(token)) throw badListing('it does not come to its end')
    tokens.add(token)
  }
}

function readObjectOf(element: XmlElement, prefix: Pathname, isEncoded: boolean): ListedObject {
  const written = textOf(element, 'Key')
  const size = Number(textOf(element, 'Size'))
  if (written === undefined || written === '' || !Number.isSafeInteger(size) || size < 0) {
    throw badListing('an entry has no key or no size')
  }
  const key = isEncoded ? decodeKey(written) : written
  if (!key.startsWith(prefix)) {
    throw badListing(`it names "${displayPathname(key)}", which is not below the prefix`)
  }
  return {
    key,
    pathname: key.slice(prefix.length),
    size,
    etag: textOf(element, 'ETag') ?? '',
    // A date that is none would be no time of a file.
    modified: new Date(Date.parse(textOf(element, 'LastModified') ?? '') || 0),
    storageClass: textOf(element, 'StorageClass') ?? 'STANDARD',
    checksums: checksumsOf(element),
  }
}

function checksumsOf({ children }: XmlElement): string | undefined {
  const words = children.filter(({ name }) => name === 'ChecksumAlgorithm' || name === 'ChecksumType')
  return words.length === 0 ? undefined : words.map(({ text }) => text).join(' ')
}

/** Undoes what `encoding-type=url` asks for: keys may have characters that XML has not. */
function decodeKey(written: string): Pathname {
  const text = written.replaceAll('+', ' ')
  if (!text.includes('%')) return text
  const parts = text.split('%')
  const bytes: Buffer[] = [Buffer.from(parts[0] ?? '')]
  for (const part of parts.slice(1)) {
    const digits = part.slice(0, 2)
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) throw badListing('a key is not encoded as it should be')
    bytes.push(Buffer.of(Number.parseInt(digits, 16)), Buffer.from(part.slice(2)))
  }
  return decodePathname(Buffer.concat(bytes))
}

function badListing(what: string): StoreError {
  return new StoreError({ code: 'BAD_LISTING', message: `the listing cannot be used: ${what}` })
}
