import { PbManifestError } from '../../errors.js'
import type { Pathname } from '../../files/pathname.js'

/** Where a backup lies in an object store. */
export interface StoreAddress {
  readonly bucket: string
  /** What the keys of its objects begin with: empty, or with a slash at its end. */
  readonly prefix: Pathname
  /** As it is shown: `s3://BUCKET/PREFIX`, without a slash at its end. */
  readonly shown: string
}

const SCHEME = 's3://'

/** Whether somebody means a place in an object store. */
export function isStoreAddress(text: string): boolean {
  return text.startsWith(SCHEME)
}

/**
 * Reads `s3://BUCKET/PREFIX`.
 *
 * @throws {@link PbManifestError} `USAGE`
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
 */
export function parseStoreAddress(text: string): StoreAddress {
  const rest = text.slice(SCHEME.length)
  const slash = rest.indexOf('/')
  const bucket = slash === -1 ? rest : rest.slice(0, slash)
  // Of buckets of former times and other makers, too.
  if (!isStoreAddress(text) || !/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket)) {
    throw new PbManifestError('USAGE', `invalid address "${text}"`, { hint: 'It is s3://BUCKET/PREFIX.' })
  }
  const path = slash === -1 ? '' : rest.slice(slash + 1)
  const prefix = path === '' || path.endsWith('/') ? path : `${path}/`
  return { bucket, prefix, shown: `${SCHEME}${bucket}${prefix === '' ? '' : `/${prefix.slice(0, -1)}`}` }
}
