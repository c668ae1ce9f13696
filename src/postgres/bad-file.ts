import { PbManifestError } from '../errors.js'

/**
 * Makes the error for a file of PostgreSQL's that does not have its format: code `BAD_FILE`, message
 * `"name": what`.
 *
 * @param name - how the caller calls the file, for the message only.
 * @param what - lower case, without a final period, in the words of PostgreSQL's own tools where they have words.
 */
export function badFile(name: string, what: string): PbManifestError {
  return new PbManifestError('BAD_FILE', `"${name}": ${what}`)
}
