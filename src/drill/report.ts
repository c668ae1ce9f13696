import type { RunFacts } from '../run-facts.js'

/** Where the replay of WAL ends. */
export const drillEnds = ['end', 'consistent'] as const

/** Where the replay of WAL ends: with the last WAL that the backup has, or as soon as the backup is consistent. */
export type DrillEnd = (typeof drillEnds)[number]

/** Why a drill failed. */
export interface DrillFailure {
  /**
   * What is to be looked at: the backup cannot be used; or the drill could not be held, and of the backup nothing is known: its
   * server, the settings, the machine.
   */
  readonly part: 'backup' | 'drill'
  /** One line. */
  readonly message: string
  /** What the server said, or more that was found; whole lines. */
  readonly details: readonly string[]
  /** What to do about it: a sentence. */
  readonly hint?: string
}

/** Something that a check found in a database. */
export interface DrillFinding {
  readonly database: string
  /** The relation, with its schema. */
  readonly relation?: string
  readonly message: string
}

/** A check of the recovered server. */
export interface DrillCheck {
  readonly what: 'databases' | 'amcheck' | 'sql'
  readonly isPassed: boolean
  /** How many databases, or relations, or files of SQL were looked at. */
  readonly objects: number
  /** At most 100; all of them are counted. */
  readonly findings: readonly DrillFinding[]
  readonly findingCount: number
  readonly seconds: number
}

/**
 * The result of a drill, as data.
 *
 * @see schemas/drill-report.schema.json
 */
export interface DrillReport extends RunFacts {
  readonly reportVersion: 1
  /** The backup directory, as it was given. */
  readonly directory: string
  /** `passed`: a server recovered on a copy of the backup, and all checks that were asked for passed. */
  readonly verdict: 'passed' | 'failed'
  /** Of a drill that failed. */
  readonly failure: DrillFailure | null
  /** The server that was to be started. */
  readonly server: { readonly bindir: string; readonly version: string }
  readonly backup: { readonly majorVersion: number; readonly systemIdentifier: string | null }
  readonly until: DrillEnd
  readonly copy: {
    readonly files: number
    readonly bytes: number
    /** Whether the file system shares the content with the backup, so that the copy took no space. */
    readonly isCloned: boolean
    readonly seconds: number
  } | null
  /** `null` where the server did not come so far. */
  readonly recovery: {
    /** From the start of the server to the consistent state; `null` when it did not say so. */
    readonly secondsToConsistency: number | null
    readonly consistentLsn: string | null
    /** From the start of the server until it accepted connections. */
    readonly seconds: number | null
  } | null
  readonly checks: readonly DrillCheck[]
  /** What the drill left out, although the backup has it. Sentences. */
  readonly notes: readonly string[]
  /** Wall time of all. */
  readonly seconds: number
}
