/** What the header of an lz4 frame says. */
export interface Lz4FrameHeader {
  readonly maxBlockBytes: number
  /** Whether a block may refer to the 64 KiB before it. */
  readonly isLinked: boolean
  readonly hasBlockChecksums: boolean
  readonly hasContentChecksum: boolean
  /** `undefined` when it is not said. */
  readonly contentBytes: bigint | undefined
}

/** How many bytes the header has behind its magic number, at the least; what its first byte says may be more. */
export const LZ4_MIN_HEADER_BYTES = 3

const blockBytes: ReadonlyMap<number, number> = new Map([
  [4, 64 * 1024],
  [5, 256 * 1024],
  [6, 1024 * 1024],
  [7, 4 * 1024 * 1024],
])

/** How many bytes the header has behind its magic number, by its first byte. */
export function lz4HeaderBytes(flags: number): number {
  return LZ4_MIN_HEADER_BYTES + (hasBit(flags, 3) ? 8 : 0) + (hasBit(flags, 0) ? 4 : 0)
}

/**
 * Reads the header of an lz4 frame.
 *
 * @param bytes - {@link lz4HeaderBytes} of them, from behind the magic number
 * @param hash - xxHash32
 * @returns what is wrong with it, when it is none
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md "Frame Descriptor"
 */
export function parseLz4FrameHeader(bytes: Buffer, hash: (bytes: Buffer) => number): Lz4FrameHeader | string {
  const flags = bytes.readUInt8(0)
  if (flags >> 6 !== 1) return 'unknown version'
  if (hasBit(flags, 1)) return 'unknown flags'
  if (hasBit(flags, 0)) return 'a dictionary is needed'
  const checksumAt = bytes.length - 1
  if (((hash(bytes.subarray(0, checksumAt)) >>> 8) & 0xff) !== bytes[checksumAt]) {
    return 'bad header checksum'
  }
  const maxBlockBytes = blockBytes.get((bytes.readUInt8(1) >> 4) & 7)
  if (maxBlockBytes === undefined) return 'unknown block size'
  return {
    maxBlockBytes,
    isLinked: !hasBit(flags, 5),
    hasBlockChecksums: hasBit(flags, 4),
    hasContentChecksum: hasBit(flags, 2),
    contentBytes: hasBit(flags, 3) ? bytes.readBigUInt64LE(2) : undefined,
  }
}

function hasBit(flags: number, bit: number): boolean {
  return ((flags >> bit) & 1) === 1
}
