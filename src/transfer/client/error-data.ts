import { type ErrorCode, isPbManifestError, PbManifestError } from '../../errors.js'
import { explainShortage } from '../../files/descriptor-shortage.js'

/** An error as plain data, which crosses threads: of an `Error`, class, `code` and `details` would be lost on the way. */
export interface ErrorData {
  /** `undefined` for an exception that nobody meant: a bug of ours. */
  readonly code: ErrorCode | undefined
  readonly message: string
  readonly details: readonly string[]
  readonly hint: string | undefined
  readonly stack: string | undefined
}

/** Takes apart whatever was thrown. */
export function toErrorData(thrown: unknown): ErrorData {
  const error = explainShortage(thrown)
  const stack = error instanceof Error ? error.stack : undefined
  if (isPbManifestError(error)) {
    return { code: error.code, message: error.message, details: error.details, hint: error.hint, stack }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { code: undefined, message, details: [], hint: undefined, stack }
}

/** Puts the error together again; the other thread's stack becomes its cause. */
export function fromErrorData({ code, message, details, hint, stack }: ErrorData): Error {
  if (code === undefined) return new Error(`in a worker thread: ${message}`, { cause: stack })
  return new PbManifestError(code, message, { details, ...(hint !== undefined && { hint }), cause: stack })
}
