import type { FleetWorkerEvent } from '../../../src/fleet/fleet-worker.js'
import type { FleetRoot } from '../../../src/fleet/backup-place.js'
import type { FleetConnection } from '../../../src/fleet/fleet-queue.js'
import { displayPathname } from '../../../src/files/pathname.js'
import { isStoreAddress } from '../../../src/source/store/store-address.js'
import { type ExitStatus, exitStatus } from '../../exit-status.js'
import { refuseOperands } from '../../operands.js'
import { invalidValue, readCount, readOptional } from '../../option-values.js'
import { readDuration } from '../../read-duration.js'
import { readRate } from '../../read-rate.js'
import { usageError, withSuggestion } from '../../usage-error.js'
import { closestName } from '../../closest-name.js'
import { withoutUndefined } from '../../without-undefined.js'
import { textOrJson } from '../../shared-options.js'
import { verifyOptions } from '../verify/verify-options.js'
import { type Command, type CommandContext, defineCommand } from '../command.js'
import { type FleetAction, fleetActions, type FleetValues, refuseOptionsOfOthers } from './fleet-values.js'

const options = {
  'The queue:': {
    queue: {
      type: 'string',
      value: 'CONNINFO',
      kind: 'text',
      describe: 'database with the queue, as a connection string or URI (default: PBMANIFEST_QUEUE)',
    },
    schema: {
      type: 'string',
      value: 'NAME',
      kind: 'text',
      describe: 'schema of the queue (default: pbmanifest)',
    },
  },
  'fleet worker, fleet verify:': {
    root: {
      type: 'string',
      array: true,
      value: '[NAME=]DIR',
      kind: 'text',
      describe: 'where backups are: below DIR, which the others know by NAME, or have, too',
    },
  },
  'fleet worker:': {
    name: {
      type: 'string',
      value: 'NAME',
      kind: 'text',
      describe: 'what the worker is called (default: the name of the machine)',
    },
    jobs: verifyOptions['How:'].jobs,
    'max-rate': verifyOptions['How:']['max-rate'],
    lease: {
      type: 'string',
      value: 'TIME',
      kind: 'text',
      describe: 'give the shard of a worker that is silent for so long to another (default: 30s)',
    },
  },
  'fleet verify, fleet cancel:': {
    run: {
      type: 'string',
      value: 'ID',
      kind: 'text',
      describe: 'what was enqueued before: to wait for, in place of a new verification, or to cancel',
    },
  },
  'fleet verify:': {
    shards: {
      type: 'string',
      value: 'auto|N',
      kind: 'text',
      suggestions: ['auto'],
      describe: 'how many shards a backup has (default: auto, up to four for each worker, of 1 GB or more)',
    },
    wait: { type: 'boolean', describe: 'wait for the workers, and report' },
    format: verifyOptions['What to verify:'].format,
    ignore: verifyOptions['What to verify:'].ignore,
    'partial-wal': verifyOptions['What to verify:']['partial-wal'],
    'page-checksums': verifyOptions['What to verify:']['page-checksums'],
    'skip-checksums': verifyOptions['How:']['skip-checksums'],
    'no-parse-wal': verifyOptions['How:']['no-parse-wal'],
    progress: verifyOptions['Output:'].progress,
    report: verifyOptions['Output:'].report,
  },
  'Output:': {
    quiet: verifyOptions['Output:'].quiet,
    output: textOrJson,
  },
} as const

export const fleetCommand: Command = defineCommand({
  name: 'fleet',
  summary: 'verify backups with many machines, by a queue in PostgreSQL',
  synopsis: 'init|worker|verify|status|cancel [OPTION]... [BACKUP]...',
  operands: fleetActions,
  endsBySignal: ['worker'],
  options,
  examples: [
    ['init --queue dbname=fleet', 'make the queue'],
    ['worker --queue dbname=fleet --root /backups', 'on each machine that sees the backups'],
    ['verify --queue dbname=fleet --wait /backups/monday', 'the report of verify, from all of them'],
    ['status --queue dbname=fleet', 'what waits, runs, is done or has failed'],
    ['cancel --queue dbname=fleet --run ID', 'verify no more of it'],
  ],
  run: async (context, values, operands) => {
    const [word, ...rest] = operands
    const action = readAction(word)
    refuseOptionsOfOthers(action, values)
    if (action !== 'verify') refuseOperands(rest)
    const connection = await readQueue(context, values)
    switch (action) {
      case 'init':
        return await runInit(context, values, connection)
      case 'worker':
        return await runWorker(context, values, connection)
      case 'verify': {
        const { runFleetVerify } = await import('./fleet-verify.js')
        return await runFleetVerify(context, values, { connection, roots: readRoots(values), backups: rest })
      }
      case 'status': {
        const { runFleetStatus } = await import('./fleet-status.js')
        return await runFleetStatus(context, values, connection)
      }
      case 'cancel':
        return await runCancel(context, values, connection)
      default:
        return action satisfies never
    }
  },
})

function readAction(word: string | undefined): FleetAction {
  if (word === undefined) throw usageError(`no action specified: it is one of ${fleetActions.join(', ')}`)
  const action = fleetActions.find((name) => name === word)
  if (action !== undefined) return action
  const meant = closestName(word, fleetActions)
  throw withSuggestion(`unknown action "${word}" of fleet`, meant && `"${meant}"`)
}

async function readQueue(
  { env, messages }: CommandContext,
  { queue = env['PBMANIFEST_QUEUE'], schema }: FleetValues,
): Promise<FleetConnection> {
  if (queue === undefined || queue === '') throw usageError('no queue specified: --queue is needed')
  const { readConnectionEnvironment, resolveConnection } =
    await import('../../../src/transfer/connection/settings/resolve-connection.js')
  const { options, warnings } = resolveConnection({ conninfo: queue }, readConnectionEnvironment(env))
  for (const warning of warnings) messages.warning(warning)
  return {
    connection: options,
    ...(schema !== undefined && { schema }),
    onConnection: (loss) => tellConnection(messages, loss),
  }
}

function tellConnection(messages: CommandContext['messages'], loss: string | undefined): void {
  if (loss === undefined) messages.note('the queue is there again')
  else messages.warning(`${loss}; trying again`)
}

/** `DIR`, or `NAME=DIR`. */
function readRoots({ root = [] }: FleetValues): FleetRoot[] {
  return root.map((text) => {
    const [, name, directory = text] = /^([\w.-]{1,60})=(.*)$/s.exec(text) ?? []
    if (directory === '' || isStoreAddress(directory))
      throw invalidValue('--root', text, 'a directory, or NAME=DIRECTORY')
    return { directory, ...(name !== undefined && { name }) }
  })
}

async function runInit(
  { print, signal }: CommandContext,
  { quiet }: FleetValues,
  { connection, schema = 'pbmanifest' }: FleetConnection,
): Promise<ExitStatus> {
  const { initFleet } = await import('../../../src/fleet/init-fleet.js')
  const isNew = await initFleet({ connection, schema }, signal)
  if (quiet !== true) print(`queue in schema "${schema}" ${isNew ? 'created' : 'is there already'}`)
  return exitStatus.done
}

async function runCancel(
  { print, signal }: CommandContext,
  { quiet, run }: FleetValues,
  connection: FleetConnection,
): Promise<ExitStatus> {
  if (run === undefined) throw usageError('--run is needed', 'fleet status has it.')
  const { cancelOnFleet } = await import('../../../src/fleet/cancel-on-fleet.js')
  for (const { backup, isCancelled } of await cancelOnFleet(run, { ...connection, signal })) {
    const what = isCancelled ? 'cancelled' : 'has ended before'
    if (quiet !== true) print(`${what}: "${displayPathname(backup)}"`)
  }
  return exitStatus.done
}

async function runWorker(
  { messages, signal, onSecondStop }: CommandContext,
  values: FleetValues,
  { connection, schema }: FleetConnection,
): Promise<ExitStatus> {
  const stopNow = new AbortController()
  onSecondStop(() => stopNow.abort())
  const isQuiet = values.quiet === true
  const tellStop = (): void => messages.note('ending when its shard is done; a second signal ends it at once')
  if (!isQuiet) signal.addEventListener('abort', tellStop, { once: true })
  const leaseSeconds = readOptional(readDuration, '--lease', values.lease)
  if (leaseSeconds !== undefined && (leaseSeconds < 1 || leaseSeconds > 86_400)) {
    throw invalidValue('--lease', values.lease ?? '', 'from 1s to 1d')
  }
  const { runFleetWorker } = await import('../../../src/fleet/fleet-worker.js')
  await runFleetWorker({
    connection,
    roots: readRoots(values),
    ...withoutUndefined({
      schema,
      name: values.name,
      jobs: readOptional(readCount, '-j/--jobs', values.jobs),
      maxRate: values['max-rate'] === undefined ? undefined : readRate(values['max-rate']),
      leaseSeconds,
    }),
    signal,
    stopNow: stopNow.signal,
    onEvent: (event) => {
      if (event.kind === 'connection') tellConnection(messages, event.loss)
      else if (event.kind === 'failed') messages.error(describeEvent(event))
      else if (!isQuiet) messages.note(describeEvent(event))
    },
  })
  return stopNow.signal.aborted ? exitStatus.terminated : exitStatus.done
}

function describeEvent(event: Exclude<FleetWorkerEvent, { kind: 'connection' }>): string {
  if (event.kind === 'started') return `worker "${event.name}" is ready`
  const shard = `shard ${event.shard} of ${event.shards} of backup "${displayPathname(event.backup)}"`
  switch (event.kind) {
    case 'taken':
      return `verifying ${shard}`
    case 'done':
      return `handed in ${shard}`
    case 'lost':
      return `${shard} is not this worker's any more`
    case 'given-back':
      return `gave back ${shard}`
    case 'failed':
      return `could not verify ${shard}: ${event.message}`
    default:
      return event satisfies never
  }
}
