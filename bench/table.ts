import { measureInTurn, type Run, type Subject } from './measure.js'
import type { Peer } from './peers.js'

/** What all cases need. */
export interface Bench {
  /** An empty directory. */
  readonly scratch: string
  /** The built command line. */
  readonly cli: string
  readonly rounds: number
  /** The newest first. */
  readonly peers: readonly Peer[]
  readonly print: (line: string) => void
}

/** What a row is to come to: ratios, or a figure with its unit. */
export interface Wanted {
  readonly wall?: string
  readonly processor?: string
  readonly peak?: string
}

/** Ourselves beside others, run in turn. */
export interface Comparison {
  readonly name: string
  readonly ours: Subject
  /** The first is the one that counts. */
  readonly beside: readonly Subject[]
  readonly wanted?: Wanted
  readonly rounds?: number
  /** Done before each run. */
  readonly before?: () => void
}

const columns = [
  'case',
  'beside',
  'wall',
  'theirs',
  'ratio (range)',
  'wanted',
  'processor',
  'theirs',
  'ratio (range)',
  'wanted',
  'peak',
  'theirs',
  'wanted',
] as const

export function printHead({ print }: Bench): void {
  print(`| ${columns.join(' | ')} |`)
  print(`|${' --- |'.repeat(columns.length)}`)
}

/**
 * Measures, and prints a row for each of those beside us: medians, and of the ratios, run by run, the median too.
 *
 * @returns our runs
 */
export async function printRows(bench: Bench, comparison: Comparison): Promise<readonly Run[]> {
  const { name, ours, beside, wanted = {}, rounds = bench.rounds, before = () => {} } = comparison
  const [ourRuns = [], ...others] = await measureInTurn([ours, ...beside], rounds, before)
  for (const [index, runs] of others.entries()) {
    const { wall = '', processor = '', peak = '' } = index === 0 ? wanted : {}
    const cells = [
      name,
      beside[index]?.name ?? '',
      ...timeCells(ourRuns, runs, (run) => run.seconds, wall),
      ...timeCells(ourRuns, runs, (run) => run.processorSeconds, processor),
      peakCell(ourRuns),
      peakCell(runs),
      peak,
    ]
    bench.print(`| ${cells.join(' | ')} |`)
  }
  return ourRuns
}

function timeCells(
  ours: readonly Run[],
  theirs: readonly Run[],
  secondsOf: (run: Run) => number,
  wanted: string,
): readonly string[] {
  const [mine, others] = [ours.map(secondsOf), theirs.map(secondsOf)]
  const ratios = mine.map((seconds, index) => seconds / (others[index] ?? Number.NaN))
  const spread = `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`
  return [
    `${median(mine).toFixed(2)} s`,
    `${median(others).toFixed(2)} s`,
    `${median(ratios).toFixed(2)} (${spread})`,
    wanted,
  ]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function peakCell(runs: readonly Run[]): string {
  return `${Math.max(...runs.map((run) => run.peakMegabytes)).toFixed(0)} MB`
}
