import { createHash } from 'node:crypto'
import { verifyStoredBackup } from 'pbmanifest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BUCKET, type ObjectStore, startStore } from '../../helpers/stores/object-store.js'
import { errorAnswer, type Fault, type SeenRequest } from '../../helpers/stores/store-proxy.js'

// How many faults there are: PBMANIFEST_TEST_STORE_FAULTS=10000 takes a while.
const wanted = Number(process.env['PBMANIFEST_TEST_STORE_FAULTS'] ?? 30)

/** So often in a row, at most, is a request for one object answered wrong: a client gives up after ten. */
const MOST_IN_A_ROW = 4

const files = Array.from({ length: 12 }, (_, index) => ({
  path: `base/1/${16384 + index}`,
  bytes: Buffer.alloc(index % 3 === 0 ? 700_000 : 9000 + index, index),
}))

let store: ObjectStore

beforeAll(async () => {
  store = await startStore('fauxqs')
  for (const { path, bytes } of [...files, { path: 'PG_VERSION', bytes: Buffer.from('15\n') }]) {
    const wrong = path === files[5]?.path ? Buffer.alloc(bytes.length, 77) : bytes
    await store.putWithChecksum(`good/${path}`, bytes, { ChecksumSHA256: sha256(bytes).toString('base64') })
    await store.putWithChecksum(`bad/${path}`, wrong, { ChecksumSHA256: sha256(wrong).toString('base64') })
  }
  const manifest = manifestOf([...files, { path: 'PG_VERSION', bytes: Buffer.from('15\n') }])
  for (const prefix of ['good', 'bad']) await store.put(`${prefix}/backup_manifest`, manifest)
})

afterAll(async () => store.close())

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function manifestOf(all: typeof files): string {
  const lines = all.map(({ path, bytes }) => {
    const checksum = sha256(bytes).toString('hex')
    return `{ "Path": "${path}", "Size": ${bytes.length}, "Last-Modified": "2026-01-02 03:04:05 GMT", "Checksum-Algorithm": "SHA256", "Checksum": "${checksum}" }`
  })
  const body = `{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [\n${lines.join(',\n')}\n],\n"WAL-Ranges": [\n],\n`
  return `${body}"Manifest-Checksum": "${createHash('sha256').update(body).digest('hex')}"}\n`
}

/** The same numbers for the same seed. @see https://en.wikipedia.org/wiki/Linear_congruential_generator */
function numbersOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function anyFault(pick: (below: number) => number, isFile: boolean): Fault {
  switch (pick(isFile ? 7 : 6)) {
    case 0:
      return { type: 'cut' }
    case 1:
      return { type: 'cut', after: pick(20_000) }
    case 2:
      return errorAnswer(503, 'SlowDown')
    case 3:
      return errorAnswer(500, 'InternalError')
    case 4:
      return { type: 'answer', status: 502, body: '<html>Bad Gateway</html>' }
    case 5:
      // Cut off, with the header of the whole.
      return { type: 'cut', after: 1 }
    default:
      return { type: 'flip', at: pick(9000) }
  }
}

test('whatever breaks on the way, what is found is what is in the store, and what came wrong once', async () => {
  const told = { faults: 0 }
  for (let run = 0; told.faults < wanted; run++) {
    const pick = numbersOf(run)
    const inARow = new Map<string, number>()
    const flipped = new Set<string>()
    const cameWrong = new Set<string>()
    store.proxy.at = ({ method, url }: SeenRequest) => {
      const before = inARow.get(url) ?? 0
      const fault =
        pick(3) > 0 || before >= MOST_IN_A_ROW ? undefined : anyFault(pick, url.includes('/base/'))
      // What comes wrong twice is taken for what is there.
      if (fault === undefined || (fault.type === 'flip' && flipped.has(url))) {
        inARow.set(url, 0)
        return undefined
      }
      if (fault.type === 'flip') flipped.add(url)
      // In what a HEAD gives there is nothing to flip.
      if (fault.type === 'flip' && method === 'GET') cameWrong.add(url)
      inARow.set(url, before + 1)
      told.faults++
      return fault
    }
    const prefix = run % 2 === 0 ? 'good' : 'bad'
    const checksums = run % 4 < 2 ? 'read' : 'stored'
    const { verdict, problems } = await verifyStoredBackup(`s3://${BUCKET}/${prefix}`, {
      noParseWal: true,
      jobs: 1,
      checksums,
      store: { env: store.env },
    })
    const found = problems.map(({ kind, path }) => `${kind} ${path}`)
    const expected = files.flatMap(({ path }) => {
      if (prefix === 'bad' && path === files[5]?.path) return [`checksum-mismatch ${path}`]
      return [...cameWrong].some((url) => url.endsWith(path)) ? [`transient-mismatch ${path}`] : []
    })
    // What was right, and came wrong, has been read.
    const good = checksums === 'read' ? 'verified' : 'sampled'
    expect([run, verdict, found.toSorted()]).toEqual([
      run,
      expected.length === 0 ? good : 'failed',
      expected.toSorted(),
    ])
  }
}, 3_600_000)
