import { readFileSync } from 'node:fs'
import { PbManifestError } from '../../errors.js'
import { ioError } from '../../files/system-error.js'
import { type Profile, readProfile } from './find-credentials.js'

/** How an object store is reached. Plain data: it crosses threads. */
export interface StoreOptions {
  /** The variables that AWS's programs look at: `AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL` and so on. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where the store is, when it is not AWS's. Default: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or what the profile says. */
  readonly endpointUrl?: string
  /**
   * Where the name of the bucket stands: in the path, or before the host's. Default: what the profile says; else `path` where an
   * endpoint is named, and `virtual` at AWS.
   */
  readonly addressingStyle?: 'path' | 'virtual'
}

/** What there is to know of a store. */
export interface StoreSettings {
  readonly endpoint: URL
  /** The host, and what stands before the key in the path. */
  readonly host: string
  /** The host without its port, as a resolver takes it. */
  readonly hostname: string
  readonly basePath: string
  /** Which certificates are trusted; `undefined`: those that Node trusts. */
  readonly ca: string | undefined
}

/** The region in which a bucket is looked for first. */
export function regionOf({ env }: StoreOptions): string {
  return env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || readProfile(env)?.get('region') || 'us-east-1'
}

/**
 * Finds out how a bucket is reached.
 *
 * @throws {@link PbManifestError} `USAGE` for an endpoint that is none; `IO` for a file of certificates
 */
export function settingsOf(options: StoreOptions, bucket: string, region: string): StoreSettings {
  const { env } = options
  const profile = readProfile(env)
  const named =
    options.endpointUrl ??
    (env['AWS_ENDPOINT_URL_S3'] ||
      env['AWS_ENDPOINT_URL'] ||
      profile?.get('s3.endpoint_url') ||
      profile?.get('endpoint_url') ||
      undefined)
  const endpoint = parseEndpoint(named ?? awsEndpoint(region))
  const style = options.addressingStyle ?? styleOf(profile)
  // A bucket with a dot, or a capital, is no name for a certificate.
  const isVirtual =
    style === undefined ? named === undefined && /^[a-z0-9-]+$/.test(bucket) : style === 'virtual'
  const path = endpoint.pathname.replace(/\/$/, '')
  const caFile = env['AWS_CA_BUNDLE'] || profile?.get('ca_bundle')
  const host = isVirtual ? `${bucket}.${endpoint.host}` : endpoint.host
  return {
    endpoint,
    host,
    hostname: host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'),
    basePath: isVirtual ? `${path}/` : `${path}/${bucket}/`,
    ca: caFile ? readCertificates(caFile) : undefined,
  }
}

function awsEndpoint(region: string): string {
  return `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
}

function styleOf(profile: Profile | undefined): 'path' | 'virtual' | undefined {
  const style = profile?.get('s3.addressing_style')
  return style === 'path' || style === 'virtual' ? style : undefined
}

function parseEndpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isUsable =
    url !== undefined &&
    ['http:', 'https:'].includes(url.protocol) &&
    url.username === '' &&
    url.search === '' &&
    url.hash === ''
  if (isUsable) return url
  throw new PbManifestError('USAGE', `invalid endpoint URL "${text}"`, {
    hint: 'It is the address of the store alone: https://HOST, or https://HOST:PORT.',
  })
}

function readCertificates(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw ioError(`could not read file "${path}"`, error)
  }
}
