import { afterAll, beforeAll, expect, test } from 'vitest'
import { listObjects, marksAmong } from '../../../src/source/store/list-objects.js'
import { parseStoreAddress } from '../../../src/source/store/store-address.js'
import { StoreClient } from '../../../src/source/store/store-client.js'
import { BUCKET, type ObjectStore, startStore } from '../../helpers/stores/object-store.js'

const names = ['base/1/1', 'base/1/10', 'base/1/9', 'base/5/2', 'base/5/a b+c', 'global/pg_control', 'z', 'é']

let store: ObjectStore
let client: StoreClient

beforeAll(async () => {
  store = await startStore('s3rver')
  for (const name of [...names, '../other']) await store.put(`monday/${name}`.replace('monday/../', ''), name)
  client = new StoreClient(parseStoreAddress(`s3://${BUCKET}/monday`), { env: store.env }, 4)
})

afterAll(async () => {
  client.close()
  await store.close()
})

async function listed(marks: readonly string[]) {
  const before = client.counts.requests
  const keys = marks.map((name) => `monday/${name}`)
  const objects = await listObjects(client, undefined, keys)
  return { names: objects.map(({ pathname }) => pathname), requests: client.counts.requests - before }
}

test.each([
  { what: 'none', marks: [], requests: 1 },
  { what: 'one', marks: ['base/1/9'], requests: 2 },
  { what: 'several', marks: ['base/1/1', 'base/1/9', 'base/5/a b+c', 'z'], requests: 5 },
  { what: 'the last one', marks: ['é'], requests: 2 },
  { what: 'one that is not there', marks: ['base/1/1', 'base/3/1', 'z'], requests: 5 },
  { what: 'one behind the last one', marks: ['base/1/1', 'éé'], requests: 4 },
  { what: 'two in the wrong order', marks: ['base/5/2', 'base/1/9'], requests: 4 },
  { what: 'the same twice', marks: ['base/5/2', 'base/5/2'], requests: 4 },
])('the listing is the same with marks: $what', async ({ marks, requests }) => {
  expect(await listed(marks)).toEqual({ names, requests })
})

test('marks are the last keys of full pages, but for the last page', () => {
  const keys = Array.from({ length: 3000 }, (_, index) => String(index))
  expect(marksAmong(keys)).toEqual(['999', '1999'])
  expect(marksAmong(keys.slice(0, 1000))).toEqual([])
  expect(marksAmong([...keys, '3000'])).toEqual(['999', '1999', '2999'])
})
