import type { StoreOptions } from '../src/source/store/store-settings.js'
import { usageError } from './usage-error.js'

interface StoreValues {
  readonly 'endpoint-url'?: string | undefined
  readonly 'addressing-style'?: string | undefined
}

/** How the store of `s3://` is reached. */
export function readStoreOptions(values: StoreValues, env: Readonly<NodeJS.ProcessEnv>): StoreOptions {
  const { 'endpoint-url': url, 'addressing-style': style } = values
  return {
    env: environmentOf(env),
    ...(url !== undefined && { endpointUrl: url }),
    ...((style === 'path' || style === 'virtual') && { addressingStyle: style }),
  }
}

/** @throws {@link PbManifestError} `USAGE` */
export function refuseStoreOptions(values: StoreValues): void {
  const other = (['endpoint-url', 'addressing-style'] as const).find((name) => values[name] !== undefined)
  if (other !== undefined) throw usageError(`--${other} is for use with s3://`)
}

/** What of the environment is about the store: threads get a copy. */
function environmentOf(env: Readonly<NodeJS.ProcessEnv>): StoreOptions['env'] {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => name.startsWith('AWS_') || name === 'HOME'),
  )
}
