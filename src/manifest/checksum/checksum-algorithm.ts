/** The algorithms that PostgreSQL knows for the files of a manifest, in its own spelling. */
export const checksumAlgorithms = ['NONE', 'CRC32C', 'SHA224', 'SHA256', 'SHA384', 'SHA512'] as const

/**
 * A checksum algorithm of a manifest file. `NONE` means that no checksum is kept.
 *
 * @see src/common/checksum_helper.c
 */
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number]

/** An algorithm that yields a checksum. */
export type RealChecksumAlgorithm = Exclude<ChecksumAlgorithm, 'NONE'>

const lengths: Readonly<Record<ChecksumAlgorithm, number>> = {
  NONE: 0,
  CRC32C: 4,
  SHA224: 28,
  SHA256: 32,
  SHA384: 48,
  SHA512: 64,
}

/** How many bytes a checksum of this algorithm has. */
export function checksumLength(algorithm: ChecksumAlgorithm): number {
  return lengths[algorithm]
}

/** The algorithm of this name, upper or lower case as PostgreSQL allows; `undefined` when it knows none. */
export function parseChecksumAlgorithm(name: string): ChecksumAlgorithm | undefined {
  const upper = name.toUpperCase()
  return checksumAlgorithms.find((algorithm) => algorithm === upper)
}
