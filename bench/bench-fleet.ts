import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createCluster } from '../test/helpers/cluster.js'
import { embeddedPostgres } from '../test/helpers/postgres-programs.js'
import type { VerifyBench } from './bench-verify.js'
import { measure } from './measure.js'
import { median } from './table.js'

/** The case of `pbmanifest fleet`: the same backup by `verify`, and by 1, 2 and 4 workers on this machine, of one thread each. */
export async function benchFleet(bench: VerifyBench): Promise<void> {
  const { cli, rounds, print } = bench
  const backup = await bench.backupDirectory()
  const cluster = await createCluster(await embeddedPostgres())
  const queue = [
    '--queue',
    `host=${cluster.socketDirectory} port=${cluster.port} user=postgres dbname=postgres`,
  ]
  const fleet = (...args: string[]): readonly [string, ...string[]] => [
    process.execPath,
    cli,
    'fleet',
    ...args,
    ...queue,
  ]
  try {
    await measure({ name: 'fleet init', command: fleet('init', '-q') })
    print('\nfleet: seconds, and seconds of processor time (with the workers), the median of the rounds')
    const alone = {
      name: 'verify',
      command: [process.execPath, cli, 'verify', '-q', '-j', '1', backup] as const,
    }
    print(row('verify -j 1', await repeat(rounds, async () => await measure(alone))))
    for (const count of [1, 2, 4]) {
      const workers = await Promise.all(
        Array.from(
          { length: count },
          async () => await startWorker(fleet('worker', '--root', backup, '-j', '1')),
        ),
      )
      const subject = { name: 'fleet verify', command: fleet('verify', '--wait', '-q', backup) }
      const runs = await repeat(rounds, async () => {
        const before = processorSeconds(workers)
        const { seconds, processorSeconds: own } = await measure(subject)
        return { seconds, processorSeconds: own + processorSeconds(workers) - before }
      })
      print(row(`fleet, workers: ${count}`, runs))
      for (const worker of workers) {
        worker.kill()
        await once(worker, 'close')
      }
    }
  } finally {
    await cluster.remove()
  }
}

interface Times {
  readonly seconds: number
  readonly processorSeconds: number
}

/** After one run that is not counted. */
async function repeat(rounds: number, run: () => Promise<Times>): Promise<readonly Times[]> {
  const runs: Times[] = []
  for (let round = 0; round <= rounds; round++) {
    const times = await run()
    if (round > 0) runs.push(times)
  }
  return runs
}

async function startWorker([file, ...args]: readonly [string, ...string[]]): Promise<ChildProcess> {
  const worker = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  if (worker.stderr !== null) await once(worker.stderr, 'data')
  worker.stderr?.resume()
  return worker
}

/** User and system time, in seconds. */
function processorSeconds(workers: readonly ChildProcess[]): number {
  return workers.reduce((sum, { pid }) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return sum + (Number(fields[11]) + Number(fields[12])) / 100
  }, 0)
}

function row(name: string, runs: readonly Times[]): string {
  const seconds = median(runs.map((run) => run.seconds)).toFixed(2)
  const processor = median(runs.map((run) => run.processorSeconds)).toFixed(2)
  return `  ${name.padEnd(20)} ${seconds.padStart(8)} ${processor.padStart(8)}`
}
