import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A command to time. */
export interface Subject {
  readonly name: string
  readonly command: readonly [string, ...string[]]
}

/** One run of a command. */
export interface Run {
  readonly seconds: number
  /** The largest resident memory of the process that was seen, in MB. */
  readonly peakMegabytes: number
}

/** The runs of two commands, made in turn, so that both see the same machine. */
export interface Comparison {
  readonly ours: readonly Run[]
  readonly theirs: readonly Run[]
}

// With these set, Node and aws-crt read all certificates of the system at each start: 60 ms that have nothing to do with us.
const { NODE_EXTRA_CA_CERTS: _extra, SSL_CERT_FILE: _file, ...environment } = process.env

/** Runs both in turn, after one run of each that is not counted. */
export async function compare(
  ours: Subject,
  theirs: Subject,
  rounds: number,
  before: () => void,
): Promise<Comparison> {
  const result = { ours: [] as Run[], theirs: [] as Run[] }
  for (let round = 0; round <= rounds; round++) {
    for (const [subject, runs] of [
      [ours, result.ours],
      [theirs, result.theirs],
    ] as const) {
      before()
      const run = await measure(subject)
      if (round > 0) runs.push(run)
    }
  }
  return result
}

/** Runs a command to its end; its output is thrown away. An exit status of 1 is a verdict, not a failure. */
export async function measure({ name, command }: Subject): Promise<Run> {
  const [file, ...args] = command
  const start = performance.now()
  const child = spawn(file, args, { env: environment, stdio: ['ignore', 'ignore', 'inherit'] })
  let peakMegabytes = 0
  const timer = setInterval(() => {
    peakMegabytes = Math.max(peakMegabytes, peakOf(child.pid))
  }, 10)
  const status = await new Promise((resolve) => child.on('close', resolve))
  clearInterval(timer)
  if (status !== 0 && status !== 1) throw new Error(`${name} ended with status ${String(status)}`)
  return { seconds: (performance.now() - start) / 1000, peakMegabytes }
}

function peakOf(pid: number | undefined): number {
  try {
    const peak = /VmHWM:\s+([0-9]+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number(peak ?? 0) / 1024
  } catch {
    return 0
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function peak(runs: readonly Run[]): string {
  return `${Math.max(...runs.map((run) => run.peakMegabytes)).toFixed(0)} MB`
}

/** A line of the table: medians, the ratio run by run, and peak memory. */
export function describe(name: string, { ours, theirs }: Comparison): string {
  const ratios = ours.map((run, index) => run.seconds / (theirs[index]?.seconds ?? Number.NaN))
  const seconds = (runs: readonly Run[]): string => `${median(runs.map((run) => run.seconds)).toFixed(2)} s`
  const spread = `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`
  const ratio = `${median(ratios).toFixed(2)} (${spread})`
  return `| ${name} | ${seconds(ours)} | ${seconds(theirs)} | ${ratio} | ${peak(ours)} | ${peak(theirs)} |`
}
