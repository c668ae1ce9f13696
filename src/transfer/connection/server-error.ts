import { DatabaseError } from './pg.js'
import { isPbManifestError, PbManifestError } from '../../errors.js'
import { describeSystemError } from '../../files/system-error.js'
import type { PgClient } from './pg-connection.js'

/**
 * Makes the error for something that failed on a connection: what the server reported, or that it is gone.
 *
 * @param attempt - what could not be done: `could not send replication command "IDENTIFY_SYSTEM"`
 * @returns a {@link PbManifestError} `SERVER`; one of ours as it is
 */
export function serverError(attempt: string, error: unknown): PbManifestError {
  if (isPbManifestError(error)) return error
  return new PbManifestError('SERVER', `${attempt}: ${describeServerError(error)}`, {
    cause: error,
    ...describeMore(error),
  })
}

/** What `pg` says when the connection is gone, or was before the query. */
const wordsOfLoss = /^(?:Connection terminated|Client has encountered a connection error)/

/** One line, in the words of libpq: `FATAL:  password authentication failed for user "x"`. */
export function describeServerError(error: unknown): string {
  if (error instanceof DatabaseError) {
    const severity = error.severity === undefined ? '' : `${error.severity}:  `
    return `${severity}${onOneLine(error.message)}`
  }
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error
  if (isNameError(first)) return `could not translate host name to address: ${nameError(first)}`
  const message =
    describeSystemError(first)?.message ?? (first instanceof Error ? first.message : String(first))
  return wordsOfLoss.test(message) ? 'server closed the connection unexpectedly' : message
}

function describeMore(error: unknown): { details?: readonly string[]; hint?: string } {
  if (!(error instanceof DatabaseError)) return {}
  return {
    ...(error.detail === undefined ? {} : { details: reportedLines(error.detail) }),
    ...(error.hint === undefined ? {} : { hint: onOneLine(error.hint) }),
  }
}

/**
 * The lines of details for an error that was reported from there. Messages of the operating system are the same
 * wherever they come from: a disk that is full there must not look like one that is full here.
 */
export function reportedDetails(
  reporter: 'agent' | 'server',
  { message, detail }: { readonly message: string; readonly detail?: string | undefined },
): string[] {
  return [
    ...(detail === undefined ? [] : reportedLines(detail)),
    ...(message.startsWith('could not ') ? [`The ${reporter} reported this.`] : []),
  ]
}

function isNameError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && 'syscall' in error && error.syscall === 'getaddrinfo' && 'code' in error
}

function nameError({ code }: { readonly code: string }): string {
  return code === 'EAI_AGAIN' ? 'Temporary failure in name resolution' : 'Name or service not known'
}

/**
 * Of what the other side says so much is looked at, in characters. A message of PostgreSQL's own is shorter by far, and one
 * that is not must not keep us busy.
 */
const MOST_CHARACTERS = 16_384

/** The lines of a text of the other side, without blank ones. */
export function reportedLines(text: string): string[] {
  const beginning = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)} ...` : text
  const lines = beginning.split(/[\r\n]/).map((line) => line.trim())
  return lines.filter((line) => line !== '')
}

/** The same on one line, as all messages are. */
export function onOneLine(text: string): string {
  return reportedLines(text).join(' ')
}

/** Something that a server wants said, which is no error: that it waits for an archive, for example. */
export interface ServerNotice {
  readonly severity: 'WARNING' | 'NOTICE'
  /** One line. */
  readonly message: string
  readonly hint?: string | undefined
}

/** What `pg` makes of a NoticeResponse. Its severity is in the server's language. */
interface NoticeMessage {
  readonly message?: string | undefined
  readonly code?: string | undefined
  readonly hint?: string | undefined
}

/** SQLSTATEs of warnings. */
const WARNING_CLASS = '01'

/** Has a listener told of what the server says beside its answers, as soon as it does. */
export function hearNotices(client: PgClient, listener: (notice: ServerNotice) => void): void {
  client.on('notice', ({ message = '', code = '', hint }: NoticeMessage) => {
    listener({
      severity: code.startsWith(WARNING_CLASS) ? 'WARNING' : 'NOTICE',
      message: onOneLine(message),
      ...(hint !== undefined && { hint: onOneLine(hint) }),
    })
  })
}
