import type { crc32c } from '@node-rs/crc32'
import { loadPlatformPackage } from '../../files/native-package.js'
import type { Crc32c } from './native-crc32c-hasher.js'

/**
 * CRC-32C of the package `@node-rs/crc32`.
 *
 * Its binary is loaded directly: the package's index reads files of the system first, to find out which C library there is,
 * and that takes as long as a hundred megabytes of checksums.
 *
 * @throws when there is no binary for this platform
 */
export function loadNodeRsCrc32c(): Crc32c {
  const binary = loadPlatformPackage('@node-rs/crc32', '@node-rs/crc32') as { readonly crc32c: typeof crc32c }
  return binary.crc32c
}
