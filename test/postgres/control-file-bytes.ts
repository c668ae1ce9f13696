import { crc32c } from '../../src/postgres/crc32c.js'

/** Where the layouts have what these tests write: offsets in bytes. */
const places13 = { nextXid: 64, walLevel: 172, blockSize: 216, walSegmentSize: 228, checksums: 252, crc: 288 }
const places19 = { nextXid: 72, walLevel: 180, blockSize: 224, walSegmentSize: 240 }
const places = {
  1300: { ...places13, signedness: undefined },
  1700: { ...places13, signedness: undefined },
  1800: { ...places13, signedness: 256, crc: 292 },
  1902: { ...places19, checksums: 264, signedness: 268, crc: 304 },
  1903: { ...places19, checksums: 268, signedness: 272, crc: 308 },
  1905: { ...places19, checksums: 268, signedness: 272, crc: 308 },
} as const

type Layout = keyof typeof places

/** A pg_control of our own with a right CRC: a few fields, and what a test writes into it. */
export function controlFileBytes(version: number, write: (bytes: Buffer) => unknown = () => {}): Buffer {
  const place = places[version in places ? (version as Layout) : 1300]
  const bytes = Buffer.alloc(8192)
  bytes.writeBigUInt64LE(7711113546893945671n, 0)
  bytes.writeUInt32LE(version, 8)
  bytes.writeUInt32LE(6, 16)
  bytes.writeInt32LE(2, 60)
  bytes.writeBigUInt64LE((3n << 32n) | 1000n, place.nextXid)
  bytes.writeInt32LE(1, place.walLevel)
  bytes.writeUInt32LE(8192, place.blockSize)
  bytes.writeUInt32LE(131072, place.blockSize + 4)
  bytes.writeUInt32LE(16777216, place.walSegmentSize)
  bytes.writeUInt32LE(1, place.checksums)
  if (place.signedness !== undefined) bytes.writeUInt8(1, place.signedness)
  write(bytes)
  bytes.writeUInt32LE(crc32c(bytes, 0, place.crc), place.crc)
  return bytes
}
