import { PbManifestError } from '../errors.js'
import type { VerifyOptions } from '../verify/options.js'

/** What of a verification can be said to all machines alike: nothing that is a path on one of them. */
export type FleetVerifyOptions = Pick<
  VerifyOptions,
  'format' | 'ignore' | 'skipChecksums' | 'pageChecksums' | 'noParseWal' | 'partialWal'
>

type Check = (value: unknown) => boolean

const isBoolean: Check = (value) => typeof value === 'boolean'
const isOneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    typeof value === 'string' && words.includes(value)

const checks: Readonly<Record<keyof FleetVerifyOptions, Check>> = {
  format: isOneOf('plain', 'tar'),
  ignore: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
  skipChecksums: isBoolean,
  pageChecksums: isOneOf('auto', 'on', 'off'),
  noParseWal: isBoolean,
  partialWal: isBoolean,
}

/**
 * Reads options as the queue has them.
 *
 * @throws {@link PbManifestError} `USAGE` for what is none: it must not be left undone unnoticed
 */
export function readFleetOptions(value: unknown): FleetVerifyOptions {
  const options = typeof value === 'object' && value !== null ? value : {}
  for (const [name, given] of Object.entries(options)) {
    if (Object.hasOwn(checks, name) && checks[name as keyof FleetVerifyOptions](given)) continue
    throw new PbManifestError('USAGE', `invalid value for option ${JSON.stringify(name)} in the queue`)
  }
  return options
}

/** Those of an object that are options for a fleet. */
export function pickFleetOptions(options: FleetVerifyOptions): FleetVerifyOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => Object.hasOwn(checks, name) && value !== undefined),
  )
}
