import { isPbManifestError, PbManifestError } from '../../errors.js'
import { SourceReadError } from '../backup-source.js'
import { readXml, textOf } from './read-xml.js'

/** What a store is asked to do. */
export type StoreMethod = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'

/** What a {@link StoreError} is made of. */
interface StoreErrorParts {
  /** In the store's words, `NoSuchKey`; or of the connection, `ECONNRESET`. */
  readonly code: string
  readonly message: string
  readonly hint?: string | undefined
  /** Whether it may go away by itself. */
  readonly isPassing?: boolean
  /** Whether it is of one object only: then others may still be read. */
  readonly isOfObject?: boolean
  readonly cause?: unknown
}

/** A store did not give what it was asked for. */
export class StoreError extends SourceReadError {
  readonly code: string
  readonly hint: string | undefined
  readonly isPassing: boolean
  readonly isOfObject: boolean

  constructor(parts: StoreErrorParts) {
    super(parts.message, parts.hint)
    this.code = parts.code
    this.hint = parts.hint
    this.isPassing = parts.isPassing ?? false
    this.isOfObject = parts.isOfObject ?? false
    if (parts.cause !== undefined) this.cause = parts.cause
  }
}

/**
 * Makes `could not read "s3://…": …` of a failure that is the whole backup's.
 *
 * @returns a {@link PbManifestError} `IO`; any other error as it is
 */
export function storeFailure(attempt: string, error: unknown): unknown {
  if (isPbManifestError(error) || !(error instanceof StoreError)) return error
  return new PbManifestError('IO', `${attempt}: ${error.message}`, {
    cause: error,
    ...(error.hint !== undefined && { hint: error.hint }),
  })
}

const HINT_OF_KEYS =
  'Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_PROFILE, and at which store they are for.'
const HINT_OF_CLOCK = 'A signature is good for 15 minutes only. Set the clock of this machine.'

const DAMAGED = 'what arrived at the store is not what was sent'

/** In words, and with a hint. */
const known: Readonly<Record<string, Partial<StoreErrorParts>>> = {
  NoSuchBucket: {
    message: 'the bucket does not exist',
    hint: 'It may be another store\u2019s: --endpoint-url says which one is asked.',
  },
  NoSuchKey: { message: 'No such object', isOfObject: true },
  PreconditionFailed: { message: 'the object was replaced after it was listed', isOfObject: true },
  InvalidObjectState: {
    message: 'the object is in an archive tier and cannot be read',
    hint: 'Have the store restore it first: aws s3api restore-object.',
    isOfObject: true,
  },
  InvalidRange: { message: 'the object is shorter than it was listed', isOfObject: true },
  InvalidAccessKeyId: { message: 'the store does not know the access key', hint: HINT_OF_KEYS },
  SignatureDoesNotMatch: {
    message: 'the signature is not right',
    hint: `The secret key is another one, or what stands between has changed the request. ${HINT_OF_KEYS}`,
  },
  ExpiredToken: { message: 'the credentials have expired', hint: 'Get new ones, and start again.' },
  InvalidToken: { message: 'the session token is not right', hint: HINT_OF_KEYS },
  RequestTimeTooSkewed: {
    message: 'the clocks of this machine and of the store differ too much',
    hint: HINT_OF_CLOCK,
  },
  SlowDown: { message: 'the store asks for fewer requests', isPassing: true },
  BadDigest: { message: DAMAGED, isPassing: true },
  XAmzContentSHA256Mismatch: { message: DAMAGED, isPassing: true },
  XAmzContentChecksumMismatch: { message: DAMAGED, isPassing: true },
}

/** What is passing although the status does not say so. */
const passingCodes = new Set([
  'RequestTimeout',
  'SlowDown',
  'InternalError',
  'ServiceUnavailable',
  'OperationAborted',
  'IncompleteBody',
  // Two that want to be the first: one will be.
  'ConditionalRequestConflict',
])
const passingStatuses = new Set([408, 429, 500, 502, 503, 504])

/** Where a HEAD has no body to say it in. */
const codesOfStatuses: Readonly<Record<number, string>> = {
  403: 'AccessDenied',
  404: 'NoSuchKey',
  412: 'PreconditionFailed',
  416: 'InvalidRange',
  503: 'SlowDown',
}

const HINT_OF_READING = 'To read objects takes the right s3:GetObject on them.'
const HINT_OF_WRITING = 'To write objects takes the right s3:PutObject on them.'

const hintsOfRights: Readonly<Record<StoreMethod, string>> = {
  GET: HINT_OF_READING,
  HEAD: HINT_OF_READING,
  PUT: HINT_OF_WRITING,
  POST: HINT_OF_WRITING,
  DELETE:
    'To remove objects takes the right s3:DeleteObject on them, and of unfinished uploads s3:AbortMultipartUpload.',
}

/** An answer that is an error: what it says, and what to do about it. */
export function errorOfAnswer(
  status: number,
  body: string,
  isOfObject: boolean,
  method: StoreMethod = 'GET',
): StoreError & { region?: string } {
  const xml = readXml(body)
  const code = textOf(xml, 'Code') ?? codesOfStatuses[status] ?? `HTTP ${status}`
  const said = textOf(xml, 'Message')
  const isPassing = passingStatuses.has(status) || passingCodes.has(code)
  const denied: Partial<StoreErrorParts> = {
    message: 'access denied',
    hint: isOfObject ? hintsOfRights[method] : 'To list objects takes the right s3:ListBucket on the bucket.',
    isOfObject,
  }
  const words = code === 'AccessDenied' ? denied : known[code]
  const message = words?.message ?? (said === undefined ? `the store answered ${code}` : `${code}: ${said}`)
  const error = new StoreError({
    ...words,
    code,
    message,
    isPassing: words?.isPassing ?? isPassing,
    isOfObject: words?.isOfObject ?? (isPassing && isOfObject),
  })
  const region = textOf(xml, 'Region')
  return region === undefined ? error : Object.assign(error, { region })
}

/** What a store says it has is another thing than what it was sent. */
export function damagedOnTheWay(): StoreError {
  return new StoreError({ code: 'BadDigest', message: DAMAGED, isPassing: true })
}

/** What a connection ended with: also in the middle of a body. */
export function errorOfConnection(error: unknown, endpoint: string): StoreError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'ERROR'
  const reason = error instanceof Error ? error.message : String(error)
  const isCertificate = /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS/.test(code)
  return new StoreError({
    code,
    message: `no connection to "${endpoint}": ${reason === '' ? code : reason}`,
    // Where there is no such host, there will be none in a minute; a resolver that does not answer is another matter.
    isPassing:
      !isCertificate && !['ENOTFOUND', 'EPROTO', 'ERR_INVALID_URL', 'HPE_INVALID_CONSTANT'].includes(code),
    cause: error,
    ...(isCertificate && { hint: 'AWS_CA_BUNDLE names a file of certificates that are trusted.' }),
  })
}
