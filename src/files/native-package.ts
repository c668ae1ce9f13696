import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Native code is loaded from beside this package, or not at all. `require` would go on looking in `$HOME/.node_modules` and
 * NODE_PATH, and the index of a package of napi-rs wherever NAPI_RS_NATIVE_LIBRARY_PATH says: under sudo, these may be
 * somebody else's. So packages are found here, and loaded by their absolute paths.
 */

const here = fileURLToPath(import.meta.url)

/** What the package of a platform's binary is called beyond the platform. */
const suffixes: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  // npm installs the one that fits the C library here.
  linux: ['-gnu', '-musl', '-gnueabihf', '-musleabihf'],
  win32: ['-msvc'],
  android: ['', '-eabi'],
}

/**
 * The directory of a package in the `node_modules` of a directory above ours, as Node finds it.
 *
 * @param from - the path of the file or directory that needs it; default: ours
 */
export function findPackage(name: string, from: string = here): string | undefined {
  for (let at = dirname(from), below = ''; at !== below; below = at, at = dirname(at)) {
    const directory = join(at, 'node_modules', name)
    if (existsSync(directory)) return realpathSync(directory)
  }
  return undefined
}

/**
 * Loads the file at an absolute path, or the package in a directory.
 *
 * @throws when it is no native code for this platform
 */
export function loadNative(path: string): unknown {
  return createRequire(import.meta.url)(path) as unknown
}

/**
 * Loads the binary of a package that has one for each platform, in packages of their own which it depends on.
 *
 * @param owner - the package
 * @param prefix - how the names of the others begin: before `-linux-x64-gnu` and its like
 * @throws when there is none for this platform
 */
export function loadPlatformPackage(owner: string, prefix: string): unknown {
  const failures: unknown[] = []
  const directory = findPackage(owner)
  for (const suffix of directory === undefined ? [] : (suffixes[platform()] ?? [''])) {
    const found = findPackage(`${prefix}-${platform()}-${arch()}${suffix}`, join(directory ?? '', 'index.js'))
    try {
      if (found !== undefined) return loadNative(found)
    } catch (error) {
      failures.push(error)
    }
  }
  throw new AggregateError(failures, `${owner} has no binary for ${platform()} on ${arch()}`)
}
