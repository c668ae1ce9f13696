import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import type { Crc32c } from './native-crc32c-hasher.js'

const suffixes: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  // npm installs the one that fits the C library here.
  linux: ['-gnu', '-musl'],
  win32: ['-msvc'],
}

/**
 * CRC-32C of the package `@node-rs/crc32`.
 *
 * Its binary is loaded directly where it is one of the common ones: the package's index reads files of the system first,
 * to find out which C library there is, and that takes as long as a hundred megabytes of checksums.
 *
 * @throws when there is no binary for this platform
 */
export async function loadNodeRsCrc32c(): Promise<Crc32c> {
  for (const suffix of suffixes[platform()] ?? ['']) {
    try {
      // The binaries are dependencies of the package, so it is the package that finds them.
      const require = createRequire(import.meta.resolve('@node-rs/crc32'))
      return (require(`@node-rs/crc32-${platform()}-${arch()}${suffix}`) as { crc32c: Crc32c }).crc32c
    } catch {
      // The index may know better.
    }
  }
  return (await import('@node-rs/crc32')).crc32c
}
