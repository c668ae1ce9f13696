import { arch, platform } from 'node:os'
import { join } from 'node:path'
import type { crc32c } from '@node-rs/crc32'
import { requireDescriptor } from '../../files/system-error.js'
import { findPackage, loadNative, loadPlatformPackage } from '../../files/native-package.js'
import { type Crc32c, type FileHasher, NativeCrc32cHasher } from './file-hasher.js'

/** The Castagnoli polynomial, reflected. */
const POLYNOMIAL = 0x82f63b78

/** A way to compute CRC-32C over many bytes. */
interface Crc32cEngine {
  /** The package it comes from. */
  readonly name: string
  /** Rejects where the package cannot run: no binary for this platform, not installed. */
  readonly createHasher: () => Promise<FileHasher>
}

/** The package of the fastest engine. */
export const FASTEST_ENGINE = 'aws-crt'

/** All engines, the fastest first: about 20, 5 and 1 GB/s. */
export const crc32cEngines: readonly Crc32cEngine[] = [
  {
    name: FASTEST_ENGINE,
    createHasher: async () => new NativeCrc32cHasher(FASTEST_ENGINE, loadAwsCrc32c()),
  },
  {
    name: '@node-rs/crc32',
    createHasher: async () => new NativeCrc32cHasher('@node-rs/crc32', loadNodeRsCrc32c()),
  },
  { name: 'hash-wasm', createHasher: createWasmHasher },
]

/** Those that are ready at once. The fastest needs 55 ms to load, once in a process: as long as it saves on 400 MB. */
const quickEngines = crc32cEngines.slice(1)

/** A hasher of the fastest engine that works here; or, for little work, of the fastest of those that load quickly. */
export async function loadCrc32cHasher(work: 'much' | 'little' = 'much'): Promise<FileHasher> {
  const engines = work === 'much' ? crc32cEngines : quickEngines
  try {
    return await loadFirst(engines)
  } catch {
    requireDescriptor()
    return await loadFirst(engines)
  }
}

async function loadFirst(engines: readonly Crc32cEngine[]): Promise<FileHasher> {
  const failures: unknown[] = []
  for (const { createHasher } of engines) {
    try {
      return await createHasher()
    } catch (error) {
      failures.push(error)
    }
  }
  throw new AggregateError(failures, 'no CRC-32C engine can be loaded')
}

/**
 * CRC-32C of the package `@node-rs/crc32`.
 *
 * Its binary is loaded directly: the package's index reads files of the system first, to find out which C library there is,
 * and that takes as long as a hundred megabytes of checksums.
 *
 * @throws when there is no binary for this platform
 */
function loadNodeRsCrc32c(): Crc32c {
  const binary = loadPlatformPackage('@node-rs/crc32', '@node-rs/crc32') as { readonly crc32c: typeof crc32c }
  return binary.crc32c
}

async function createWasmHasher(): Promise<FileHasher> {
  const { createCRC32 } = await import('hash-wasm')
  const hasher = await createCRC32(POLYNOMIAL)
  return {
    engine: 'hash-wasm',
    reset: () => {
      hasher.init()
    },
    update: (bytes) => {
      hasher.update(bytes)
    },
    digest: () => Buffer.from(hasher.digest('binary').toReversed()).toString('hex'),
    findOther: (bytes, start) => {
      const digest = hasher.digest('binary').toReversed()
      const isRight = digest.every((byte, index) => byte === bytes[start + index])
      return isRight ? undefined : Buffer.from(digest).toString('hex')
    },
  }
}

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
