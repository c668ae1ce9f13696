import { DatabaseError } from '../connection/pg.js'
import { type ErrorCode, isPbManifestError, type PbManifestError } from '../../errors.js'
import { CommandSyntaxError } from '../commands/command-tokens.js'
import { type Refusal, RefusedError } from '../commands/refused-error.js'
import { WireError } from '../wire/wire-error.js'
import type { WireClose } from '../wire/wire-handler.js'

/** What a client is told of an error, as plain data, which crosses threads. */
export interface WireErrorData {
  readonly sqlstate: string
  readonly message: string
  readonly detail: string | undefined
  readonly hint: string | undefined
  readonly position: number | undefined
  /** Of an exception that nobody meant, for our log only. */
  readonly bug: string | undefined
}

/** An error that another thread has told of. */
export class ThreadError extends Error {
  readonly data: WireErrorData

  constructor(data: WireErrorData) {
    super(data.message)
    this.data = data
  }
}

/** @see https://www.postgresql.org/docs/current/errcodes-appendix.html */
export const sqlstates = {
  connectionFailure: '08006',
  badEncoding: '22021',
  invalidParameterValue: '22023',
  insufficientPrivilege: '42501',
  syntaxError: '42601',
  undefinedObject: '42704',
  duplicateObject: '42710',
  tooManyConnections: '53300',
  configurationLimitExceeded: '53400',
  objectNotInPrerequisiteState: '55000',
  queryCanceled: '57014',
  adminShutdown: '57P01',
  ioError: '58030',
  internalError: 'XX000',
  dataCorrupted: 'XX001',
} as const

const sqlstateOfRefusal: Readonly<Record<Refusal, string>> = {
  'wrong-state': sqlstates.objectNotInPrerequisiteState,
  'wrong-server': sqlstates.objectNotInPrerequisiteState,
  'unknown-object': sqlstates.undefinedObject,
  'already-done': sqlstates.duplicateObject,
  'invalid-value': sqlstates.invalidParameterValue,
  forbidden: sqlstates.insufficientPrivilege,
}

const sqlstateOfCode: Readonly<Record<ErrorCode, string>> = {
  USAGE: sqlstates.objectNotInPrerequisiteState,
  BAD_MANIFEST: sqlstates.dataCorrupted,
  BAD_FRAGMENT: sqlstates.dataCorrupted,
  BAD_FILE: sqlstates.dataCorrupted,
  CANNOT_MERGE: sqlstates.internalError,
  CANNOT_CREATE: sqlstates.internalError,
  IO: sqlstates.ioError,
  SERVER: sqlstates.connectionFailure,
  ABORTED: sqlstates.queryCanceled,
}

/** Makes of whatever was thrown what the client is told. Of a bug of ours it learns nothing but that it is one. */
export function toWireErrorData(error: unknown): WireErrorData {
  if (error instanceof ThreadError) return error.data
  if (error instanceof WireError) {
    const { sqlstate, message, detail, hint, position } = error
    return { sqlstate, message, detail, hint, position, bug: undefined }
  }
  if (!isPbManifestError(error)) return describeBug(error)
  const { message, details, hint } = error
  const position = error instanceof CommandSyntaxError ? error.position : undefined
  return {
    sqlstate: sqlstateOf(error),
    message,
    // The position of a syntax error is in them as a sentence, too.
    detail: position === undefined && details.length > 0 ? details.join('\n') : undefined,
    hint,
    position,
    bug: undefined,
  }
}

export function toWireError(data: WireErrorData, severity: 'ERROR' | 'FATAL' = 'ERROR'): WireError {
  const { sqlstate, message, detail, hint, position } = data
  return new WireError(sqlstate, message, { severity, detail, hint, position })
}

function sqlstateOf(error: PbManifestError): string {
  if (error instanceof CommandSyntaxError) return sqlstates.syntaxError
  if (error instanceof RefusedError) return sqlstateOfRefusal[error.refusal]
  return serverSqlstate(error) ?? sqlstateOfCode[error.code]
}

/** What the database server said is passed on. */
function serverSqlstate({ code, cause }: PbManifestError): string | undefined {
  return code === 'SERVER' && cause instanceof DatabaseError ? cause.code : undefined
}

function describeBug(error: unknown): WireErrorData {
  return {
    sqlstate: sqlstates.internalError,
    message: 'internal error of the agent',
    detail: undefined,
    hint: 'The log of the agent says more.',
    position: undefined,
    bug: error instanceof Error ? (error.stack ?? error.message) : String(error),
  }
}

// What sessions are told that end otherwise than by their own doing.

export const abortedByLeader: WireErrorData = {
  sqlstate: sqlstates.queryCanceled,
  message: 'the backup was aborted by the session that started it',
  detail: undefined,
  hint: undefined,
  position: undefined,
  bug: undefined,
}

/** A client that is there and hears this is not to come back: it would take turns with the other one. */
export const replaced: WireErrorData = {
  ...abortedByLeader,
  sqlstate: sqlstates.adminShutdown,
  message: 'terminating connection because another session has taken its place',
}

export function leaderLeft(how: WireClose): WireErrorData {
  const what = how === 'terminated' ? 'has ended' : 'was lost'
  return {
    ...abortedByLeader,
    sqlstate: sqlstates.connectionFailure,
    message: `the connection that started the backup ${what} before the backup was complete`,
  }
}

export const shutdown: WireErrorData = {
  ...abortedByLeader,
  sqlstate: sqlstates.adminShutdown,
  message: 'terminating connection due to administrator command',
}
