import type { MergeOptions } from '../src/manifest/merge/merge-options.js'
import { readLsn, readOptional, readTimeline, readWalRange } from './option-values.js'
import { usageError } from './usage-error.js'

/** Where a backup began and ended, for commands that write a manifest. */
export const positionOptions = {
  'start-lsn': { type: 'string', value: 'LSN', kind: 'text', describe: 'where the backup began' },
  'start-timeline': {
    type: 'string',
    value: 'TLI',
    kind: 'number',
    describe: 'timeline on which it began',
  },
  'end-lsn': { type: 'string', value: 'LSN', kind: 'text', describe: 'where the backup ended' },
  'end-timeline': { type: 'string', value: 'TLI', kind: 'number', describe: 'timeline on which it ended' },
} as const

type Name = keyof typeof positionOptions | 'history-dir'

type Values = { readonly [Option in Name]?: string | undefined } & {
  readonly 'wal-range'?: readonly string[] | undefined
}

type WalRangeNames =
  'walRanges' | 'startLsn' | 'startTimeline' | 'endLsn' | 'endTimeline' | 'historyDirectory'

/**
 * Reads the WAL ranges that are given outright, or what they are to be worked out from.
 *
 * @throws {@link PbManifestError} `USAGE`, also when both are given: a range leaves nothing to work out
 */
export function readWalRangeOptions(values: Values): {
  [Option in WalRangeNames]: MergeOptions[Option] | undefined
} {
  const names = [
    ...(Object.keys(positionOptions) as (keyof typeof positionOptions)[]),
    'history-dir',
  ] as const
  const other = names.find((name) => values[name] !== undefined)
  if (values['wal-range'] !== undefined && other !== undefined) {
    throw usageError(`cannot specify both --wal-range and --${other}`)
  }
  return {
    walRanges: values['wal-range']?.map((text) => readWalRange('--wal-range', text)),
    startLsn: readOptional(readLsn, '--start-lsn', values['start-lsn']),
    startTimeline: readOptional(readTimeline, '--start-timeline', values['start-timeline']),
    endLsn: readOptional(readLsn, '--end-lsn', values['end-lsn']),
    endTimeline: readOptional(readTimeline, '--end-timeline', values['end-timeline']),
    historyDirectory: values['history-dir'],
  }
}
