import { decodePathname, displayPathname, isUtf8Pathname, type Pathname } from '../../files/pathname.js'
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

/** So many objects are on a page of a listing. */
const PAGE = 1000

/**
 * Lists all objects below the prefix of the client's address, in the store's order.
 *
 * @param marks - keys that are likely to be there, in that order ({@link marksAmong}). The objects up to each of them are listed
 * beside each other, where otherwise each page waits for the one before; when the pages do not end at these keys, all is listed
 * anew, page after page
 * @throws {@link StoreError}; also when the pages do not fit each other
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 */
export async function listObjects(
  client: StoreClient,
  signal: AbortSignal | undefined,
  marks: readonly Pathname[] = [],
): Promise<readonly ListedObject[]> {
  if (marks.length > 0) {
    const ranges = [...marks, undefined].map((until, index) => ({ after: marks[index - 1], until }))
    const parts = await Promise.all(ranges.map((range) => tryRange(client, signal, range)))
    const objects = parts.every((part) => part !== undefined) ? parts.flat() : []
    const isWhole = new Set(objects.map(({ key }) => key)).size === objects.length
    if (isWhole && objects.length > 0) return objects
  }
  const all = await listRange(client, signal, { after: undefined, until: undefined })
  return all ?? []
}

/** As {@link listRange}; not every store lists from a key on. */
async function tryRange(...range: Parameters<typeof listRange>): ReturnType<typeof listRange> {
  try {
    return await listRange(...range)
  } catch (error) {
    if (error instanceof StoreError) return undefined
    throw error
  }
}

/** The last keys of the pages that objects fill, without that of the last one. */
export function marksAmong(keys: readonly Pathname[]): readonly Pathname[] {
  return keys.filter(
    (key, index) => index % PAGE === PAGE - 1 && index < keys.length - 1 && isUtf8Pathname(key),
  )
}

/**
 * Looks for one object, before all are listed.
 *
 * @returns `undefined` also when it cannot be said: who lists all of them is told why
 */
export async function findObject(
  client: StoreClient,
  pathname: Pathname,
  signal: AbortSignal | undefined,
): Promise<ListedObject | undefined> {
  const { prefix } = client.address
  const key = prefix + pathname
  const query = { 'list-type': '2', 'encoding-type': 'url', 'max-keys': '1', prefix: key }
  try {
    const objects = readPage((await ask(client, { query }, signal)).body, prefix).objects
    return objects.find((object) => object.key === key)
  } catch (error) {
    if (error instanceof StoreError) return undefined
    throw error
  }
}

/** From behind one key to another; from the first one, or to the last. */
interface KeyRange {
  readonly after: Pathname | undefined
  readonly until: Pathname | undefined
}

/** @returns `undefined` when there is no end where it should be */
async function listRange(
  client: StoreClient,
  signal: AbortSignal | undefined,
  { after, until }: KeyRange,
): Promise<readonly ListedObject[] | undefined> {
  const { prefix } = client.address
  const objects = new Map<Pathname, ListedObject>()
  const tokens = new Set<string>()
  for (let token: string | undefined; ;) {
    const query = {
      'list-type': '2',
      'encoding-type': 'url',
      ...(prefix !== '' && { prefix }),
      ...(after !== undefined && token === undefined && { 'start-after': after }),
      ...(token !== undefined && { 'continuation-token': token }),
    }
    const page = readPage((await ask(client, { query }, signal)).body, prefix)
    for (const object of page.objects) {
      if (objects.has(object.key)) {
        throw badListing(`it names "${displayPathname(object.key)}" twice: it has changed meanwhile`)
      }
      objects.set(object.key, object)
      // A store that orders them otherwise, or begins elsewhere, does not come to this key, or names some keys twice.
      if (object.key === until) return [...objects.values()]
    }
    if (!page.isTruncated) return until === undefined ? [...objects.values()] : undefined
    token = page.next
    if (token === undefined || tokens.has(token)) throw badListing('it does not come to its end')
    tokens.add(token)
  }
}

interface ListedPage {
  readonly objects: readonly ListedObject[]
  readonly isTruncated: boolean
  /** By which the next one is asked for. */
  readonly next: string | undefined
}

function readPage(body: string, prefix: Pathname): ListedPage {
  const page = readXml(body)
  if (page?.name !== 'ListBucketResult') throw badListing('the answer is no listing')
  const isEncoded = textOf(page, 'EncodingType') === 'url'
  return {
    objects: page.children
      .filter(({ name }) => name === 'Contents')
      .map((element) => readObjectOf(element, prefix, isEncoded)),
    isTruncated: textOf(page, 'IsTruncated') === 'true',
    next: textOf(page, 'NextContinuationToken'),
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
  try {
    return decodeURIComponent(text)
  } catch {
    // The key is no UTF-8, or its encoding is none.
  }
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
