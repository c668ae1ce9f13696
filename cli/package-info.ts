export { version } from '../src/version.js'

/** Where a bug is to be reported. */
export const bugAddress = 'https://www.npmjs.com/package/pbmanifest'
