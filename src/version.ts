import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** What is wanted of package.json. */
interface PackageJson {
  readonly name?: string
  readonly version: string
  readonly bugs?: { readonly url: string }
}

const { directory, packageJson } = findPackage(new URL('.', import.meta.url))

/** The package is above the source tree, `dist/` and `dist/program`, which has a package.json without a name. */
function findPackage(at: URL): { readonly directory: URL; readonly packageJson: PackageJson } {
  const above = new URL('..', at)
  try {
    const found = JSON.parse(readFileSync(new URL('package.json', at), 'utf8')) as PackageJson
    if (found.name !== undefined) return { directory: at, packageJson: found }
  } catch (error) {
    if (above.href === at.href) throw error
  }
  return findPackage(above)
}

/** The version of this package. */
export const version: string = packageJson.version

/** Of PostgreSQL whose programs ours can stand in for: the newest release. */
export const standInVersion = '18.0'

/** Where a bug is to be reported; `undefined` in a package that nobody has published. */
export const bugAddress: string | undefined = packageJson.bugs?.url

/** The absolute path of a file of this package. */
export function packagePath(path: string): string {
  return fileURLToPath(new URL(path, directory))
}
