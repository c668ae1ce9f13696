import { createRequire } from 'node:module'

// The package's own name finds its package.json from the source tree, from dist/ and when installed.
// `import ... with { type: 'json' }` prints a warning on Node 20.
const packageJson: { readonly version: string } = createRequire(import.meta.url)('pbmanifest/package.json')

export const version: string = packageJson.version

/** Where a bug is to be reported. */
export const bugAddress = 'https://www.npmjs.com/package/pbmanifest'
