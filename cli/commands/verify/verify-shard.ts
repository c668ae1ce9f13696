import { displayPathname } from '../../../src/files/pathname.js'
import { formatBytes, formatCount } from '../../../src/renderings/format.js'
import { checkReportFiles } from '../../../src/renderings/report-files.js'
import type { Shard } from '../../../src/shards/plan-shards.js'
import type { FetchedBackupPlace, StoredBackupPlace } from '../../../src/shards/verify-shard.js'
import type { VerifyOptions } from '../../../src/verify/options.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import { invalidValue } from '../../option-values.js'
import { ProgressReporter } from '../../progress-reporter.js'
import { usageError } from '../../usage-error.js'
import type { CommandContext } from '../command.js'
import { printProblem } from './print-verdict.js'
import type { VerifyValues } from './verify-options.js'

/** What belongs to the report of the whole backup, or needs more than one shard has. */
const excluded = [
  'chain',
  'state',
  'max-age',
  'subset',
  'archive',
  'exit-on-error',
  'report',
  'checksums',
] as const

/** Who tells the number of a shard, from 0, by the names of environment variables. */
const indexVariables = ['JOB_COMPLETION_INDEX', 'AWS_BATCH_JOB_ARRAY_INDEX'] as const

/** Runs `verify --shard`. */
export async function runVerifyShard(
  { print, messages, signal, env }: CommandContext,
  options: Omit<VerifyOptions, 'onProblem' | 'onProgress'>,
  values: VerifyValues,
  backup: string | StoredBackupPlace | FetchedBackupPlace,
): Promise<ExitStatus> {
  const { shard: text = '', 'report-fragment': output } = values
  for (const name of excluded) {
    if (values[name] !== undefined) throw usageError(`cannot specify both --shard and --${name}`)
  }
  if (values.output !== 'text') {
    throw usageError(
      `cannot specify both --shard and --output=${values.output}`,
      'That is for merge-reports, which makes the report of all shards.',
    )
  }
  if (output === undefined) throw usageError('--report-fragment is needed with --shard')
  const shard = readShard(text, env)
  if (backup === '-') throw usageError('--shard is not for an archive on standard input')
  await checkReportFiles([{ kind: 'json', path: output }], typeof backup === 'string' ? [backup] : [])
  const progress = values.progress === true ? new ProgressReporter(messages) : undefined
  const { verifyShard } = await import('../../../src/shards/verify-shard.js')
  const result = await verifyShard(backup, {
    ...options,
    ...shard,
    output,
    signal,
    ...(progress && { onProgress: (state) => progress.report(state) }),
    onProblem: (problem) => printProblem(messages, problem),
  })
  progress?.finish()
  const { problems, filesChecked, bytesChecked } = result
  const found = problems === 0 ? 'no problem' : formatCount(problems, 'problem')
  const what = `${found} in ${formatCount(filesChecked, 'file')}, ${formatBytes(bytesChecked)}`
  const line = `shard ${shard.shard} of ${shard.shards}: ${what}; see "${displayPathname(output)}"`
  if (problems > 0) messages.note(line)
  else if (values.quiet !== true) print(line)
  return problems === 0 ? exitStatus.done : exitStatus.problems
}

/** Reads `2/7`, or `auto/7` where a scheduler tells which. */
function readShard(text: string, env: CommandContext['env']): Shard {
  const [, number = '', count = ''] = /^(auto|\d{1,4})\/(\d{1,4})$/.exec(text) ?? []
  const shards = Number(count)
  const shard = number === 'auto' ? shardOfScheduler(env, shards) : Number(number)
  if (shard >= 1 && shard <= shards && shards <= 1000) return { shard, shards }
  throw invalidValue('--shard', text, 'a shard of all, such as 2/7; there can be 1000')
}

function shardOfScheduler(env: CommandContext['env'], shards: number): number {
  const name = indexVariables.find((variable) => env[variable] !== undefined)
  const index = env[name ?? '']
  if (name === undefined || index === undefined) {
    throw usageError('--shard auto is for use by a scheduler', `None of ${indexVariables.join(', ')} is set.`)
  }
  if (/^\d{1,4}$/.test(index) && Number(index) < shards) return Number(index) + 1
  throw usageError(`environment variable ${name} is "${index}", but there are ${shards} shards, from 0`)
}
