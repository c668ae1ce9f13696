/**
 * Every error that pbmanifest throws on purpose. Imports nothing.
 *
 * Two words are kept apart throughout: a *problem* is something wrong with the backup (data, collected, all of
 * them reported); an *error* means that we cannot go on (thrown).
 */

/** The code of a {@link PbManifestError}. The command line maps each to an exit status. */
export type ErrorCode =
  /** The call makes no sense: a bad option, or options that contradict each other. */
  | 'USAGE'
  /** The input is not a backup manifest, or its own checksum does not fit. */
  | 'BAD_MANIFEST'
  /** The input is not a manifest fragment. */
  | 'BAD_FRAGMENT'
  /** A file of PostgreSQL's (pg_control, backup_label, a timeline history ...), a key or a file of allowed signers does not have its format. */
  | 'BAD_FILE'
  /** The fragments are readable but do not make one manifest. */
  | 'CANNOT_MERGE'
  /** Nothing says where the backup in a directory begins or ends, or its files may be of different moments. */
  | 'CANNOT_CREATE'
  /** The operating system refused a read, a write, or a worker thread. */
  | 'IO'
  /** The server: no connection, a breach of the protocol, or an error that it reported. */
  | 'SERVER'
  /** The caller's `AbortSignal` fired. */
  | 'ABORTED'

/** What a {@link PbManifestError} may have besides code and message. */
export interface PbManifestErrorOptions {
  readonly cause?: unknown
  /** Further lines, each one complete in itself, for example one for every culprit. */
  readonly details?: readonly string[]
  /** A full sentence that says what to do about it. */
  readonly hint?: string
}

// `instanceof` fails when two copies of the package are loaded, or across realms; a registered symbol does not.
const brand = Symbol.for('pbmanifest.PbManifestError')

/**
 * An error with a literal {@link ErrorCode}.
 *
 * The message is one lower-case line without a final period that names the file and what is wrong.
 */
export class PbManifestError extends Error {
  override readonly name = 'PbManifestError'
  readonly code: ErrorCode
  readonly details: readonly string[]
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, options: PbManifestErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.details = options.details ?? []
    this.hint = options.hint
    Object.defineProperty(this, brand, { value: true })
  }
}

/** Tells a {@link PbManifestError} from any other thrown value. */
export function isPbManifestError(value: unknown): value is PbManifestError {
  return typeof value === 'object' && value !== null && brand in value
}
