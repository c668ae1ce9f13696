import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const packageFile = createRequire(import.meta.url).resolve('pbmanifest/package.json')

/** The path of a file of what is built; `npm test` builds it first. */
export function builtFile(path: string): string {
  return join(dirname(packageFile), path)
}

/** A test runner may ask for colours; the programs that it starts must not. */
export const environment: Readonly<Record<string, string>> = { FORCE_COLOR: '0', PBMANIFEST_DEBUG: '' }
