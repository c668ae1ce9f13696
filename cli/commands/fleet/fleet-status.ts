import { formatBytes, formatCount } from '../../../src/renderings/format.js'
import { displayPathname } from '../../../src/files/pathname.js'
import { type FleetBackup, type FleetStatus, readFleetStatus } from '../../../src/fleet/fleet-status.js'
import type { FleetConnection } from '../../../src/fleet/fleet-queue.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import type { CommandContext } from '../command.js'
import type { FleetValues } from './fleet-values.js'

/** Runs `fleet status`. */
export async function runFleetStatus(
  { print, printJson, signal }: CommandContext,
  { output }: FleetValues,
  connection: FleetConnection,
): Promise<ExitStatus> {
  const status = await readFleetStatus(connection, signal)
  if (output === 'json') {
    const { formatAsJson } = await import('../../../src/schemas/validator.js')
    printJson(formatAsJson('fleet-status', status))
  } else print(formatStatus(status).join('\n'))
  return exitStatus.done
}

function formatStatus({ backups, workers }: FleetStatus): string[] {
  const alive = workers.filter(({ isAlive }) => isAlive)
  const names = alive.map(({ name }) => `"${name}"`).join(', ')
  const lines = [alive.length === 0 ? 'no worker' : `${formatCount(alive.length, 'worker')}: ${names}`]
  if (backups.length === 0) lines.push('no backup')
  for (const backup of backups) lines.push(...formatBackup(backup))
  return lines
}

function formatBackup(entry: FleetBackup): string[] {
  const { backup, state, shards, waiting, running, done, failures, verdict, error, run } = entry
  const counts = [`${done} done`, `${running.length} running`, `${waiting} waiting`].join(', ')
  const came =
    verdict ?? (state === 'done' ? `done, not reported yet: fleet verify --wait --run ${run}` : state)
  const isOpen = state === 'waiting' || state === 'running'
  const line = `"${displayPathname(backup)}": ${came}; of ${formatCount(shards, 'shard')} ${counts}${isOpen ? `; run ${run}` : ''}`
  return [
    line,
    ...(error === null ? [] : [`  ${error.message}`]),
    ...running.map(({ shard, worker, attempt, since, bytesDone, bytesTotal }) => {
      const read = bytesTotal === 0 ? '' : `, ${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}`
      return `  shard ${shard}: worker "${worker}" since ${since}, attempt ${attempt}${read}`
    }),
    ...failures.map(({ shard, attempt, worker, message }) => {
      return `  shard ${shard}: attempt ${attempt} failed at worker "${worker}": ${message}`
    }),
  ]
}
