import { createRequire } from 'node:module'

// The package's own name finds its package.json from the source tree, from dist/ and when installed.
// `import ... with { type: 'json' }` prints a warning on Node 20.
const packageJson = createRequire(import.meta.url)('pbmanifest/package.json') as {
  readonly version: string
  readonly bugs?: { readonly url: string }
}

/** The version of this package. */
export const version: string = packageJson.version

/** Where a bug is to be reported; `undefined` in a package that nobody has published. */
export const bugAddress: string | undefined = packageJson.bugs?.url
