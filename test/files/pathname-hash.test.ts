import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { PathnameHash } from '../../src/files/pathname-hash.js'
import { collidingNames, fnv1a } from '../helpers/colliding-names.js'

/** A key that is the same in every run. */
function fixedKey(start: number): SharedArrayBuffer {
  const { key } = new PathnameHash()
  const words = new Int32Array(key)
  let state = start
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    words[index] = state ^ (state >>> 13)
  }
  return key
}

function hashes(
  names: readonly Buffer[],
  hash = new PathnameHash(),
): { of32: Set<number>; of53: Set<number> } {
  return {
    of32: new Set(names.map((name) => hash.hash32(name, 0, name.length))),
    of53: new Set(names.map((name) => hash.hash53(name, 0, name.length))),
  }
}

test('names that were made to have one hash have as many as others, by any key', () => {
  const names = collidingNames(16)
  expect(new Set(names.map((name) => fnv1a(name))).size).toBe(1)
  for (const start of [1, 2, 3]) {
    const { of32, of53 } = hashes(names, new PathnameHash(fixedKey(start)))
    expect(of53.size).toBe(65_536)
    // Of so many at random, one in two keys gives two the same.
    expect(of32.size).toBeGreaterThan(65_500)
    // The slots of a table are chosen by the low bits: at random, 63 % of as many slots are taken.
    expect(new Set([...of32].map((hash) => hash & 0xffff)).size).toBeGreaterThan(0.6 * 65_536)
  }
})

test('every key is another', () => {
  const name = Buffer.from('base/1/1259')
  const found = Array.from({ length: 50 }, () => new PathnameHash().hash53(name, 0, name.length))
  expect(new Set(found).size).toBe(50)
})

test('is the same by the same key, wherever the bytes stand, and of 32 and 53 bits', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9000 }), fc.nat(9), (bytes, before) => {
      const hash = new PathnameHash()
      const elsewhere = new PathnameHash(hash.key)
      const moved = Buffer.concat([Buffer.alloc(before, 7), bytes, Buffer.from('behind')])
      const of32 = hash.hash32(bytes, 0, bytes.length)
      const of53 = hash.hash53(bytes, 0, bytes.length)
      expect(elsewhere.hash32(moved, before, before + bytes.length)).toBe(of32)
      expect(elsewhere.hash53(moved, before, before + bytes.length)).toBe(of53)
      expect(of32).toBe(of32 >>> 0)
      expect(Number.isSafeInteger(of53) && of53 >= 0).toBe(true)
    }),
  )
})

test('names of zeros, of different lengths or very long ones that differ anywhere have different hashes', () => {
  const zeros = Array.from({ length: 1000 }, (_, length) => Buffer.alloc(length))
  const long = [0, 1, 4095, 4096, 8191, 8192, 9999].map((at) =>
    Buffer.alloc(10_000, 'x').fill('y', at, at + 1),
  )
  const names = [...zeros, ...long]
  const { of32, of53 } = hashes(names, new PathnameHash(fixedKey(4)))
  expect({ of32: of32.size, of53: of53.size }).toEqual({ of32: names.length, of53: names.length })
})

test('hashes of a million pathnames that differ little are all different', () => {
  const hash = new PathnameHash(fixedKey(5))
  const found = new Set<number>()
  for (let number = 0; number < 1_000_000; number++) {
    const bytes = Buffer.from(`base/${16384 + (number % 50)}/${number}${number % 3 === 0 ? '_fsm' : ''}`)
    found.add(hash.hash53(bytes, 0, bytes.length))
  }
  expect(found.size).toBe(1_000_000)
})
