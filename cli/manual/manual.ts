import type { exitStatus } from '../exit-status.js'

/** A name and what is to be known of it, for a list. */
type Entry = readonly [name: string, what: string]

/**
 * What the manual page of a command says beyond its table. Words in backquotes are set in bold. A text of several lines is
 * several paragraphs; lines that begin with four blanks are set as they are.
 */
export interface Manual {
  readonly description: string
  /** More about an option than its line in the help says, by its name. */
  readonly options?: Readonly<Record<string, string>>
  /** What each status means that the command can end with, besides those of bad usage, bugs and signals. */
  readonly exitStatus: Readonly<Partial<Record<keyof typeof exitStatus, string>>>
  readonly files?: readonly Entry[]
  /** Besides those that all commands heed. */
  readonly environment?: readonly Entry[]
  /** Pages of the manual: `pg_verifybackup(1)`. */
  readonly seeAlso: readonly string[]
}
