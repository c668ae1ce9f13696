import { usageError } from '../../usage-error.js'
import type { VerifyValues } from '../verify/verify-options.js'

export const fleetActions = ['init', 'worker', 'verify', 'status', 'cancel'] as const

export type FleetAction = (typeof fleetActions)[number]

type Text = 'queue' | 'schema' | 'name' | 'lease' | 'shards' | 'run'

type OfVerify =
  | 'jobs'
  | 'max-rate'
  | 'format'
  | 'ignore'
  | 'partial-wal'
  | 'page-checksums'
  | 'skip-checksums'
  | 'no-parse-wal'
  | 'progress'
  | 'report'
  | 'quiet'

/** The options of `fleet` after a command line was read. */
export type FleetValues = Pick<VerifyValues, OfVerify> &
  Readonly<Record<Text, string | undefined>> & {
    readonly root: readonly string[] | undefined
    readonly wait: boolean | undefined
    readonly output: 'text' | 'json'
  }

const ofVerify = [
  'shards',
  'wait',
  'run',
  'format',
  'ignore',
  'partial-wal',
  'page-checksums',
  'skip-checksums',
  'no-parse-wal',
  'progress',
  'report',
] as const

const optionsOf: Readonly<Record<FleetAction, readonly string[]>> = {
  init: ['queue', 'schema', 'quiet'],
  worker: ['queue', 'schema', 'quiet', 'root', 'name', 'jobs', 'max-rate', 'lease'],
  verify: ['queue', 'schema', 'quiet', 'output', 'root', ...ofVerify],
  status: ['queue', 'schema', 'output'],
  cancel: ['queue', 'schema', 'quiet', 'run'],
}

/** @throws {@link PbManifestError} `USAGE` for an option of another action */
export function refuseOptionsOfOthers(action: FleetAction, values: FleetValues): void {
  for (const [name, value] of Object.entries(values)) {
    const isDefault = name === 'output' && value === 'text'
    if (value === undefined || isDefault || optionsOf[action].includes(name)) continue
    // What yargs makes besides: letters, and names without dashes.
    if (!Object.values(optionsOf).some((names) => names.includes(name))) continue
    throw usageError(`--${name} is not for fleet ${action}`)
  }
}
