import { createRequire } from 'node:module'

// The package's own name finds its package.json from the source tree, from dist/ and when installed.
// `import ... with { type: 'json' }` prints a warning on Node 20.
const packageJson = createRequire(import.meta.url)('pbmanifest/package.json') as { readonly version: string }

/** The version of this package. */
export const version: string = packageJson.version
