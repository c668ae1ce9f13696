import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { listObjects } from '../../../src/source/store/list-objects.js'
import { readWholeObject } from '../../../src/source/store/read-object.js'
import { parseStoreAddress } from '../../../src/source/store/store-address.js'
import { StoreClient } from '../../../src/source/store/store-client.js'
import { ObjectWriters } from '../../../src/target/store/object-writers.js'
import { StoreClaim } from '../../../src/target/store/store-claim.js'
import type { StoreChecks } from '../../../src/target/store/put-object.js'
import { BUCKET, type ObjectStore, startStore, type StoreName } from '../../helpers/stores/object-store.js'
import { poll } from '../../helpers/poll.js'
import { errorAnswer, type Fault, type SeenRequest } from '../../helpers/stores/store-proxy.js'

const MB = 1024 * 1024
const limit = 60_000

/** What no two places of it have in common. */
function bytesOf(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at += 32) {
    createHash('sha256').update(`${seed} ${at}`).digest().copy(bytes, at)
    if (at >= 64 * 1024) {
      bytes.copyWithin(at, 0, size - at)
      break
    }
  }
  return bytes
}

/** In two parts. */
const large = bytesOf(8 * MB + 5)
const small = bytesOf(9000)

/** The same numbers for the same seed. @see https://en.wikipedia.org/wiki/Linear_congruential_generator */
function numbersOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

async function write(writers: ObjectWriters, pathname: string, bytes: Buffer): Promise<void> {
  const writer = await writers.begin(pathname, bytes.length)
  for (let at = 0; at < bytes.length; at += 100_000) {
    await writer.write(Buffer.from(bytes.subarray(at, at + 100_000)))
  }
  writer.end()
}

const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

interface NamedFault {
  readonly what: string
  readonly fault: Fault
}

const everyFault: readonly NamedFault[] = [
  { what: 'a cut', fault: { type: 'cut' } },
  { what: 'a cut while it is sent', fault: { type: 'cut-sent', after: 1000 } },
  { what: 'an answer that is lost', fault: { type: 'lose' } },
  { what: 'another byte on the way', fault: { type: 'flip-sent', at: 77 } },
  { what: '503 SlowDown', fault: errorAnswer(503, 'SlowDown') },
  { what: '500', fault: errorAnswer(500, 'InternalError') },
  { what: '502 without words', fault: { type: 'answer', status: 502, body: '<html>' } },
  { what: 'a checksum that is not right', fault: errorAnswer(400, 'BadDigest') },
  { what: 'credentials that have expired', fault: errorAnswer(400, 'ExpiredToken') },
  {
    what: 'another clock',
    fault: errorAnswer(403, 'RequestTimeTooSkewed', { date: new Date().toUTCString() }),
  },
]

const stores: readonly { readonly name: StoreName; readonly faults: readonly NamedFault[] }[] = [
  { name: 'fauxqs', faults: everyFault },
  // It keeps the parts in files, and knows nothing of giving up.
  { name: 's3rver', faults: everyFault.slice(0, 4) },
]

describe.each(stores)('what is written to $name', ({ name, faults: itsFaults }) => {
  let store: ObjectStore
  let places = 0

  beforeAll(async () => {
    store = await startStore(name)
  }, limit)

  afterEach(() => store.proxy.reset())

  afterAll(async () => store.close())

  interface Place {
    readonly client: StoreClient
    readonly writers: ObjectWriters
    readonly claim: StoreClaim
    readonly stop: AbortController
  }

  async function claimPlace(): Promise<Place> {
    const address = parseStoreAddress(`s3://${BUCKET}/place${places++}`)
    const client = new StoreClient(address, { env: store.env }, 4)
    const claim = await StoreClaim.make(client, 'CRC32C', undefined)
    const stop = new AbortController()
    const place = { address, store: { env: store.env }, checks: claim.checks }
    return { client, claim, stop, writers: new ObjectWriters(place, stop.signal) }
  }

  async function contents({ client }: Place): Promise<Record<string, string>> {
    const objects = await listObjects(client, undefined)
    const hashes = objects.map(async (object) => {
      const bytes = await readWholeObject(client, object, undefined)
      return [object.pathname, hashOf(bytes)] as const
    })
    return Object.fromEntries(await Promise.all(hashes))
  }

  const methodsSeen = (): string[] => store.proxy.requests.map(({ method }) => method)

  test(
    'is there as it was written, in one piece or in parts, and nothing is left when all is removed',
    async () => {
      const place = await claimPlace()
      const files = [0, 1, MB, MB + 1, 8 * MB, 8 * MB + 1, 16 * MB, 17 * MB + 5].map(
        (size, index) => [`base/${index} +é`, bytesOf(size, index)] as const,
      )
      for (const [pathname, bytes] of files) await write(place.writers, pathname, bytes)
      await place.writers.finish()
      const { 'pbmanifest.unfinished': mark, ...found } = await contents(place)
      expect(mark).toBeDefined()
      expect(found).toEqual(Object.fromEntries(files.map(([pathname, bytes]) => [pathname, hashOf(bytes)])))
      expect(await place.claim.remove()).toEqual([])
      expect(await contents(place)).toEqual({})
    },
    limit,
  )

  test.each(itsFaults)(
    'is whole in spite of $what, at each request once',
    async ({ fault }) => {
      const place = await claimPlace()
      const seen = new Set<string>()
      let faults = 0
      store.proxy.at = ({ method, url }: SeenRequest) => {
        const isMeant = fault.type === 'flip-sent' ? method === 'PUT' : true
        if (!isMeant || seen.has(`${method} ${url}`)) return undefined
        seen.add(`${method} ${url}`)
        faults++
        return fault
      }
      await write(place.writers, 'large', large)
      await write(place.writers, 'small', small)
      await place.writers.finish()
      // Its parts, its beginning, its end, and the small one.
      expect(faults).toBeGreaterThanOrEqual(fault.type === 'flip-sent' ? 3 : 5)
      store.proxy.reset()
      expect(await contents(place)).toMatchObject({ large: hashOf(large), small: hashOf(small) })
    },
    limit,
  )

  test.each([
    {
      what: 'says 200 and that it has failed',
      change: () => '<Error><Code>InternalError</Code><Message>m</Message></Error>',
    },
    { what: 'is cut off', change: (body: string) => body.slice(0, 60) },
    { what: 'is of something else', change: () => '<ListBucketResult></ListBucketResult>' },
  ])(
    'is taken for whole only when it is there, where the answer $what',
    async ({ change }) => {
      const place = await claimPlace()
      store.proxy.at = ({ method, url }) =>
        method === 'POST' && url.includes('uploadId') ? { type: 'body', change } : undefined
      await write(place.writers, 'large', large)
      // The store has made the object of its parts: only its words are wrong.
      await place.writers.finish()
      store.proxy.reset()
      expect(await contents(place)).toMatchObject({ large: hashOf(large) })
    },
    limit,
  )

  test(
    'is not taken for whole when the store says 200 and has done nothing',
    async () => {
      const place = await claimPlace()
      const body = '<Error><Code>InvalidPart</Code><Message>no such part</Message></Error>'
      store.proxy.at = ({ method, url }) =>
        method === 'POST' && url.includes('uploadId') ? { type: 'answer', status: 200, body } : undefined
      await write(place.writers, 'large', large)
      await expect(place.writers.finish()).rejects.toMatchObject({
        code: 'IO',
        message: `could not write "${place.client.address.shown}/large": InvalidPart: no such part`,
      })
      place.stop.abort()
      await place.writers.abandon()
      expect(methodsSeen()).toContain('DELETE')
      store.proxy.reset()
      expect(Object.keys(await contents(place))).toEqual(['pbmanifest.unfinished'])
    },
    limit,
  )

  test(
    'is not taken for whole when the store has made something else of the parts',
    async () => {
      const { claim, client } = await claimPlace()
      const { address } = client
      const checks = { ...claim.checks, checksum: 'CRC32C' } as const
      const writers = new ObjectWriters(
        { address, store: { env: store.env }, checks },
        new AbortController().signal,
      )
      const other = '<ChecksumCRC32C>AAAAAA==</ChecksumCRC32C></CompleteMultipartUploadResult>'
      const change = (body: string): string =>
        body
          .replaceAll(/<ChecksumCRC32C>.*<\/ChecksumCRC32C>/g, '')
          .replace('</CompleteMultipartUploadResult>', other)
      store.proxy.at = ({ method, url }) =>
        method === 'POST' && url.includes('uploadId') ? { type: 'body', change } : undefined
      store.proxy.keepsChecksumsOfParts = true
      await write(writers, 'large', large)
      await expect(writers.finish()).rejects.toMatchObject({
        code: 'IO',
        message: `could not write "${address.shown}/large": what the store made of the parts is not what was sent`,
      })
      store.proxy.keepsChecksumsOfParts = false
      await writers.abandon()
    },
    limit,
  )

  test(
    'fails with what the store says for good, and leaves no parts',
    async () => {
      const place = await claimPlace()
      store.proxy.at = ({ method, url }) =>
        method === 'PUT' && url.includes('partNumber=2') ? errorAnswer(403, 'AccessDenied') : undefined
      const writing = async (): Promise<void> => {
        await write(place.writers, 'large', large)
        await place.writers.finish()
      }
      await expect(writing()).rejects.toMatchObject({
        code: 'IO',
        message: `could not write "${place.client.address.shown}/large": access denied`,
        hint: 'To write objects takes the right s3:PutObject on them.',
      })
      place.stop.abort()
      await place.writers.abandon()
      expect(methodsSeen().filter((method) => method === 'DELETE')).toHaveLength(1)
    },
    limit,
  )

  test('begins again when it is taken back', { timeout: limit }, async () => {
    const place = await claimPlace()
    const writer = await place.writers.begin('file', large.length)
    await writer.write(Buffer.alloc(8 * MB + 1, 7))
    place.writers.retract(writer)
    await write(place.writers, 'file', large)
    await place.writers.finish()
    expect(await contents(place)).toMatchObject({ file: hashOf(large) })
    expect(methodsSeen()).toContain('DELETE')
  })

  test('waits when much is on its way', { timeout: limit }, async () => {
    const place = await claimPlace()
    const held: (() => void)[] = []
    store.proxy.at = async ({ method }) => {
      if (method === 'PUT') await new Promise<void>((resolve) => held.push(resolve))
      return undefined
    }
    let begun = 0
    const all = (async () => {
      for (; begun < 6; begun++) await write(place.writers, `file${begun}`, bytesOf(7 * MB, begun))
      await place.writers.finish()
    })()
    // Of 32 MB, each takes a part.
    await poll('four to be on their way', async () => held.length === 4)
    expect(begun).toBe(4)
    store.proxy.at = () => undefined
    for (const release of held) release()
    await all
    expect(begun).toBe(6)
  })

  test('of a name that no object can have, it is said', async () => {
    const { writers } = await claimPlace()
    await expect(writers.begin('base/\udcff', 1)).rejects.toThrow('its name is not UTF-8')
    await expect(writers.begin(`base/${'x'.repeat(1100)}`, 1)).rejects.toThrow('longer than the 1024 bytes')
  })

  describe('a place is claimed', () => {
    test('by one of two that want it', async () => {
      const address = parseStoreAddress(`s3://${BUCKET}/both`)
      const client = new StoreClient(address, { env: store.env }, 4)
      const claim = await StoreClaim.make(client, 'CRC32C', undefined)
      await expect(StoreClaim.make(client, 'CRC32C', undefined)).rejects.toMatchObject({
        code: 'IO',
        message: `"s3://${BUCKET}/both" holds a backup of pbmanifest that is being taken, or was not finished`,
        details: [expect.stringMatching(/^It is written by process \d+ on /)],
      })
      await claim.release(undefined)
      await (await StoreClaim.make(client, 'CRC32C', undefined)).release(undefined)
      client.close()
    })

    test('and the other one finds out, whenever it wrote its mark', async () => {
      const address = parseStoreAddress(`s3://${BUCKET}/race`)
      const client = new StoreClient(address, { env: store.env }, 4)
      const first = await StoreClaim.make(client, 'CRC32C', undefined)
      // As from one that has seen the place before there was anything.
      await store.put('race/pbmanifest.unfinished', '{"Writer":"somebody else"}')
      await store.put('race/base/1/1', 'theirs')
      await expect(first.requireOwn(undefined)).rejects.toMatchObject({
        details: ['It is written by somebody else.'],
      })
      expect(await first.remove()).toEqual([expect.stringContaining('is left alone')])
      expect((await listObjects(client, undefined)).map(({ pathname }) => pathname)).toContain('base/1/1')
      client.close()
    })

    test('by nobody where the store lets one only be the first', async () => {
      store.proxy.at = ({ method }) => (method === 'PUT' ? errorAnswer(412, 'PreconditionFailed') : undefined)
      await expect(claimPlace()).rejects.toThrow('exists but is not empty')
    })

    test('not where something is', async () => {
      await store.put('taken/x', 'x')
      const client = new StoreClient(parseStoreAddress(`s3://${BUCKET}/taken`), { env: store.env }, 4)
      await expect(StoreClaim.make(client, 'CRC32C', undefined)).rejects.toThrow(
        `"s3://${BUCKET}/taken" exists but is not empty`,
      )
      client.close()
    })

    test('without what the store refuses', async () => {
      const seen: StoreChecks[] = []
      for (const names of [
        ['if-none-match'],
        ['x-amz-checksum-crc32c'],
        ['x-amz-checksum-crc32c', 'content-md5'],
      ]) {
        let refused = 0
        store.proxy.at = ({ method, headers }) => {
          if (method !== 'PUT' || names.some((name) => headers[name] === undefined)) return undefined
          refused++
          return errorAnswer(501, 'NotImplemented')
        }
        seen.push((await claimPlace()).claim.checks)
        expect(refused).toBeGreaterThan(0)
        store.proxy.reset()
      }
      expect(seen).toMatchObject([
        { isConditional: false, checksum: 'CRC32C', needsMd5: true },
        { isConditional: true, checksum: undefined },
        { isConditional: true, checksum: undefined },
      ])
    })
  })
})

// How many faults there are: PBMANIFEST_TEST_STORE_FAULTS=10000 takes a while.
const wanted = Number(process.env['PBMANIFEST_TEST_STORE_FAULTS'] ?? 30)

test('whatever breaks on the way, what is said to be there is there', async () => {
  const told = { faults: 0 }
  const store = await startStore('fauxqs')
  try {
    for (let run = 0; told.faults < wanted; run++) {
      const pick = numbersOf(run)
      const inARow = new Map<string, number>()
      store.proxy.at = ({ method, url }) => {
        const before = inARow.get(url) ?? 0
        const isFault = pick(3) === 0 && before < 3
        inARow.set(url, isFault ? before + 1 : 0)
        if (!isFault) return undefined
        told.faults++
        const kinds: Fault[] = [
          { type: 'cut' },
          { type: 'lose' },
          { type: 'cut-sent', after: pick(9000) },
          errorAnswer(503, 'SlowDown'),
          errorAnswer(500, 'InternalError'),
          method === 'PUT' ? { type: 'flip-sent', at: pick(9000) } : { type: 'cut' },
        ]
        return kinds[pick(kinds.length)]
      }
      const address = parseStoreAddress(`s3://${BUCKET}/run${run}`)
      const client = new StoreClient(address, { env: store.env }, 4)
      const claim = await StoreClaim.make(client, 'CRC32C', undefined)
      const { signal } = new AbortController()
      const writers = new ObjectWriters({ address, store: { env: store.env }, checks: claim.checks }, signal)
      const files = Array.from({ length: 12 }, (_, index) =>
        bytesOf(index === 4 ? 8 * MB + 9 : index * 1000, run + index),
      )
      for (const [index, bytes] of files.entries()) await writers.writeWhole(`base/1/${index}`, bytes)
      await writers.finish()
      await claim.release(undefined)
      store.proxy.reset()
      const objects = await listObjects(client, undefined)
      expect(objects).toHaveLength(files.length)
      for (const object of objects) {
        const bytes = await readWholeObject(client, object, undefined)
        expect([
          run,
          object.pathname,
          bytes.equals(files[Number(object.pathname.slice(7))] ?? EMPTY),
        ]).toEqual([run, object.pathname, true])
      }
      client.close()
    }
  } finally {
    await store.close()
  }
}, 3_600_000)

const EMPTY = Buffer.alloc(0)
