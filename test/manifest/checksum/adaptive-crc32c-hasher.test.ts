import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { AdaptiveCrc32cHasher } from '../../../src/manifest/checksum/adaptive-crc32c-hasher.js'
import { createFileHasher } from '../../../src/manifest/checksum/create-file-hasher.js'

const MIB = 1024 * 1024

test('goes over to the fastest engine in the middle of a file, and the checksum stays right', async () => {
  const engines: string[] = []
  let isWorthIt = false
  const hasher = await AdaptiveCrc32cHasher.create({
    isWorthIt: () => isWorthIt,
    onEngine: (engine) => engines.push(engine),
  })
  const expected = await createFileHasher('CRC32C')
  const bytes = Buffer.alloc(MIB, 'some pattern')
  hasher.reset()
  expected.reset()
  for (let count = 0; count < 40; count++) {
    if (count === 20) isWorthIt = true
    hasher.update(bytes)
    expected.update(bytes)
  }
  expect(engines).toEqual(['@node-rs/crc32', 'aws-crt'])
  expect(hasher.engine).toBe('aws-crt')
  expect(hasher.digest()).toBe(expected.digest())
})

test('takes the fastest engine at once when that is worth it, and asks no more', async () => {
  let asked = 0
  const hasher = await AdaptiveCrc32cHasher.create({
    isWorthIt: () => {
      asked++
      return true
    },
  })
  hasher.reset()
  for (let count = 0; count < 40; count++) hasher.update(Buffer.alloc(MIB))
  expect(hasher.engine).toBe('aws-crt')
  expect(asked).toBe(1)
})

test('tells how many bytes of all files it has hashed when it asks', async () => {
  const asked: number[] = []
  const hasher = await AdaptiveCrc32cHasher.create({
    isWorthIt: (bytes) => {
      asked.push(bytes)
      return false
    },
  })
  for (let file = 0; file < 4; file++) {
    hasher.reset()
    hasher.update(Buffer.alloc(9 * MIB))
  }
  expect(asked).toEqual([0, 18 * MIB, 36 * MIB])
  expect(hasher.engine).toBe('@node-rs/crc32')
})

test('starts anew with each file', async () => {
  const hasher = await AdaptiveCrc32cHasher.create({ isWorthIt: () => false })
  const expected = await createFileHasher('CRC32C')
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (one, other) => {
      for (const bytes of [one, other]) {
        hasher.reset()
        hasher.update(bytes)
        expected.reset()
        expected.update(bytes)
        expect(hasher.digest()).toBe(expected.digest())
      }
    }),
  )
})
