import type { DrillCheck, DrillEnd } from './report.js'

/** How to hold a drill. */
export interface DrillOptions {
  /** Where the server's programs are. Default: where packages put those of the backup's version, then `PATH`. */
  readonly bindir?: string
  /** Who runs the server, when we are root: servers refuse to run as root. */
  readonly as?: string
  /** Default `end`. */
  readonly until?: DrillEnd
  /** Check all B-tree indexes and, from 14 on, all tables, by the extension amcheck. Default false. */
  readonly amcheck?: boolean
  /** A file of SQL that is to run without an error. */
  readonly sqlFile?: string
  /** A superuser of the cluster. Default `postgres`. */
  readonly username?: string
  /** The database for the SQL. Default `postgres`. */
  readonly database?: string
  /** Further settings for the server, such as `shared_preload_libraries`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Where the copy is made. Default: the system's directory for temporary files. */
  readonly scratchParent?: string
  /** For so many seconds the server may recover. Default: without limit. */
  readonly timeoutSeconds?: number
  /** Where programs are looked for: directories with colons between them. */
  readonly path?: string
  /** Ends the drill; the promise then rejects with code `ABORTED`, when all is removed. */
  readonly signal?: AbortSignal
  /** Is told what begins. */
  readonly onStep?: (step: 'copy' | 'recovery' | DrillCheck['what']) => void
}
