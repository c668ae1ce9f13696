import { expect, test } from 'vitest'
import { findVersion } from '../../../src/postgres/versions.js'
import { BlockTouches, mergeTouches, noTouches, packBlocks } from '../../../src/postgres/wal/block-touches.js'
import type { BlockAddress } from '../../../src/postgres/wal/record-body.js'

const block: BlockAddress = { tablespaceOid: 1663, databaseOid: 5, relationNumber: 16384, fork: 0, block: 7 }

interface BlockHeader {
  readonly flags: number
  /** bimg_info; `undefined` without an image. */
  readonly image?: number
  readonly of?: BlockAddress
}

/** A record whose block headers are these, with main data behind the blocks' data. Its CRC is not looked at. */
function record(
  headers: readonly BlockHeader[],
  { rmgr = 10, info = 0, data = Buffer.alloc(3) } = {},
): DataView {
  const parts = headers.map(({ flags, image, of = block }, id) => {
    const hasImage = image !== undefined
    const fixed = Buffer.from([id, flags | of.fork | (hasImage ? 0x10 : 0), 0, 0])
    const imageHeader = hasImage ? Buffer.from([4, 0, 0, 0, image]) : Buffer.alloc(0)
    const relation = (flags & 0x80) === 0 ? [of.tablespaceOid, of.databaseOid, of.relationNumber] : []
    const numbers = [...relation, of.block].map((number) => {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32LE(number)
      return bytes
    })
    return Buffer.concat([fixed, imageHeader, ...numbers])
  })
  const images = Buffer.alloc(4 * headers.filter(({ image }) => image !== undefined).length)
  const body = Buffer.concat([...parts, Buffer.from([255, data.length]), images, data])
  const head = Buffer.alloc(24)
  head.writeUInt32LE(24 + body.length)
  head.writeUInt8(info, 16)
  head.writeUInt8(rmgr, 17)
  const bytes = Uint8Array.from(Buffer.concat([head, body]))
  return new DataView(bytes.buffer)
}

function firstOf(
  major: number,
  records: readonly DataView[],
  wanted: readonly BlockAddress[] = [block],
): unknown {
  const [format] = findVersion(major)?.walFormats ?? []
  if (format === undefined) throw new Error(`no WAL format of ${major}`)
  const touches = new BlockTouches(packBlocks(wanted), format)
  for (const [index, view] of records.entries()) touches.add(view, 0, view.byteLength, 1, 8 * (index + 1))
  return [...touches.first.lsns].map((lsn, index) => [lsn % 0x1_0000_0000n, touches.first.writesAnew[index]])
}

const willInit = 0x40
const sameRelation = 0x80

test.each([
  { what: 'a change', headers: [{ flags: 0 }], anew: 0 },
  { what: 'an initialization', headers: [{ flags: willInit }], anew: 1 },
  { what: 'an image that is for comparison only', headers: [{ flags: 0, image: 0 }], anew: 0 },
  { what: 'an image of 15 to be applied', headers: [{ flags: 0, image: 0x02 }], anew: 1 },
  { what: 'an image of 13 to be applied', major: 13, headers: [{ flags: 0, image: 0x04 }], anew: 1 },
])('$what says so of its block', ({ headers, anew, major = 15 }) => {
  expect(firstOf(major, [record(headers)])).toEqual([[8n, anew]])
})

test('the first record that touches a block decides', () => {
  const change = record([{ flags: 0 }])
  const image = record([{ flags: 0, image: 0x02 }])
  expect(firstOf(18, [change, image])).toEqual([[8n, 0]])
  expect(firstOf(18, [image, change])).toEqual([[8n, 1]])
})

test('a block is one of its relation, fork and database, also when the record names the relation once', () => {
  const others = [
    { ...block, block: 8 },
    { ...block, fork: 2 },
    { ...block, databaseOid: 6 },
    { ...block, tablespaceOid: 1664 },
    { ...block, relationNumber: 1 },
  ]
  const view = record([
    { flags: 0, image: 2 },
    { flags: willInit | sameRelation, of: { ...block, block: 8 } },
  ])
  expect(firstOf(18, [view], [block, ...others])).toEqual([
    [8n, 1],
    [8n, 1],
    [0n, 0],
    [0n, 0],
    [0n, 0],
    [0n, 0],
  ])
})

test('the copy of a database writes all its blocks anew', () => {
  const data = Buffer.alloc(16)
  data.writeUInt32LE(5)
  data.writeUInt32LE(1663, 4)
  const wanted = [block, { ...block, databaseOid: 6 }]
  expect(firstOf(14, [record([], { rmgr: 4, data })], wanted)).toEqual([
    [8n, 1],
    [0n, 0],
  ])
  expect(firstOf(14, [record([], { rmgr: 4, info: 0x10, data })], wanted)).toEqual([
    [0n, 0],
    [0n, 0],
  ])
})

test('stretches are joined in any order', () => {
  const wanted = packBlocks([block])
  const early = {
    lsns: BigUint64Array.of(5n),
    writesAnew: Uint8Array.of(1),
    checksumSwitch: Uint8Array.of(0),
    tablespaceCreation: Uint8Array.of(0),
  }
  const late = {
    lsns: BigUint64Array.of(9n),
    writesAnew: Uint8Array.of(0),
    checksumSwitch: Uint8Array.of(1),
    tablespaceCreation: Uint8Array.of(1),
  }
  for (const order of [
    [early, late],
    [late, early],
  ]) {
    const all = noTouches(wanted)
    for (const part of order) mergeTouches(all, part)
    expect(all).toEqual({ ...early, checksumSwitch: Uint8Array.of(1), tablespaceCreation: Uint8Array.of(1) })
  }
})
