import { arch, platform } from 'node:os'
import { join } from 'node:path'
import { findPackage, loadNative } from '../../files/native-package.js'
import type { Crc32c } from './file-hasher.js'

/** The one function that is wanted of the package's 44 MB. */
interface NativeChecksums {
  readonly checksums_crc32c: Crc32c
}

/** In this thread. */
let loaded: Crc32c | undefined

/** Whether {@link loadAwsCrc32c} takes no time. */
export function isAwsCrc32cLoaded(): boolean {
  return loaded !== undefined
}

/**
 * CRC-32C of the optional package `aws-crt`, which uses the processor's carry-less multiplication.
 *
 * Its binary is loaded directly: the package's index loads all of the package, and starts a program to find out which C
 * library there is.
 *
 * @throws when it is not installed, or has no binary for this platform
 */
export function loadAwsCrc32c(): Crc32c {
  loaded ??= load()
  return loaded
}

function load(): Crc32c {
  const directory = findPackage('aws-crt')
  if (directory === undefined) throw new Error('aws-crt is not installed')
  const failures: unknown[] = []
  for (const runtime of platform() === 'linux' ? ['glibc', 'musl'] : ['cruntime']) {
    try {
      const path = join(directory, 'dist', 'bin', `${platform()}-${arch()}-${runtime}`, 'aws-crt-nodejs.node')
      return (loadNative(path) as NativeChecksums).checksums_crc32c
    } catch (error) {
      failures.push(error)
    }
  }
  throw new AggregateError(failures, 'aws-crt cannot be loaded')
}
