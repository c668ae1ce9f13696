import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A command to time. */
export interface Subject {
  readonly name: string
  readonly command: readonly [string, ...string[]]
  readonly env?: Readonly<Record<string, string>>
}

/** One run of a command. */
export interface Run {
  readonly seconds: number
  /** User and system time, with that of the processes it waited for. */
  readonly processorSeconds: number
  /** The largest resident memory of the process that was seen, in MB. */
  readonly peakMegabytes: number
}

// With these set, Node and aws-crt read all certificates of the system at each start: 60 ms that have nothing to do with us.
const { NODE_EXTRA_CA_CERTS: _extra, SSL_CERT_FILE: _file, ...environment } = process.env

/**
 * Runs all in turn, so that each sees the same machine, after one run of each that is not counted.
 *
 * @returns the runs of each subject, in their order
 */
export async function measureInTurn(
  subjects: readonly Subject[],
  rounds: number,
  before: () => void,
): Promise<readonly (readonly Run[])[]> {
  const runs = subjects.map((): Run[] => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [index, subject] of subjects.entries()) {
      before()
      const run = await measure(subject)
      if (round > 0) runs[index]?.push(run)
    }
  }
  return runs
}

/** Runs a command to its end; its output is thrown away. An exit status of 1 is a verdict, not a failure. */
export async function measure({ name, command, env }: Subject): Promise<Run> {
  const [file, ...args] = command
  const processorBefore = processorSecondsOfChildren()
  const start = performance.now()
  const child = spawn(file, args, { env: { ...environment, ...env }, stdio: ['ignore', 'ignore', 'inherit'] })
  let peakMegabytes = 0
  const timer = setInterval(() => {
    peakMegabytes = Math.max(peakMegabytes, peakOf(child.pid))
  }, 10)
  const status = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  }).finally(() => clearInterval(timer))
  if (status !== 0 && status !== 1) throw new Error(`${name} ended with status ${String(status)}`)
  return {
    seconds: (performance.now() - start) / 1000,
    processorSeconds: processorSecondsOfChildren() - processorBefore,
    peakMegabytes,
  }
}

/** Of all that have ended. */
function processorSecondsOfChildren(): number {
  const stat = readFileSync('/proc/self/stat', 'latin1')
  // Behind the name, which may have blanks, the 14th and 15th field, in hundredths.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[13]) + Number(fields[14])) / 100
}

function peakOf(pid: number | undefined): number {
  try {
    const peak = /VmHWM:\s+([0-9]+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number(peak ?? 0) / 1024
  } catch {
    return 0
  }
}
