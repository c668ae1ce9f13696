import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Yielder } from '../../../src/files/yielder.js'
import { SortedKeys } from '../../../src/manifest/merge/sorted-keys.js'

/** In hexadecimal, which is compared quickly. */
async function sort(keys: readonly Buffer[], expected = 0): Promise<string> {
  const sorted = new SortedKeys(expected)
  for (const key of keys) sorted.add(key[0] ?? 1, key, 1, key.length)
  const order = await sorted.inOrder(new Yielder(undefined))
  return hexOf(Array.from(order, (index) => keys[index] ?? Buffer.alloc(0)))
}

function inOrder(keys: readonly Buffer[]): string {
  return hexOf(keys.toSorted((left, right) => left.compare(right)))
}

function hexOf(keys: readonly Buffer[]): string {
  return keys.map((key) => key.toString('hex')).join(' ')
}

/** Of a few values, so that many keys begin alike, and of all. */
const byte = fc.oneof(fc.constantFrom(0x22, 0x2f, 0x61, 0x80), fc.integer({ min: 1, max: 255 }))
const key = fc.array(byte, { minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes))
const keys = fc.uniqueArray(key, { selector: (bytes) => bytes.toString('latin1'), maxLength: 200 })

test('keys are in the order of their bytes', async () => {
  await fc.assert(
    fc.asyncProperty(keys, fc.nat(300), async (list, expected) => {
      expect(await sort(list, expected)).toBe(inOrder(list))
    }),
  )
})

test('so are many, and long ones that differ at their end', async () => {
  const many = Array.from({ length: 20_000 }, (_, index) => Buffer.from(`base/${index % 7}/${index}`))
  expect(await sort(many)).toBe(inOrder(many))
  const long = Array.from({ length: 50 }, (_, index) =>
    Buffer.from(`${'x'.repeat(60_000 + (index % 5))}${index}`),
  )
  expect(await sort(long)).toBe(inOrder(long))
})

test('a key that is there twice does not keep it from its end', async () => {
  const list = ['b', 'a', 'b', ...Array.from({ length: 50 }, () => 'aaaa')].map((text) => Buffer.from(text))
  expect(await sort(list)).toBe(inOrder(list))
})

test('stops when it is told to', async () => {
  const ending = new AbortController()
  const yielder = new Yielder(ending.signal)
  const sorted = new SortedKeys(0)
  for (let index = 0; index < 200_000; index++) {
    const bytes = Buffer.from(`base/${index}`)
    sorted.add(1, bytes, 0, bytes.length)
  }
  const sorting = sorted.inOrder(yielder)
  ending.abort()
  await expect(sorting).rejects.toMatchObject({ code: 'ABORTED' })
})
