import { type ErrorCode, isPbManifestError } from '../src/errors.js'

/**
 * What `--output=json` prints in place of a report when there can be none.
 *
 * @see schemas/error.schema.json
 */
export interface ErrorDocument {
  readonly error: {
    /** `INTERNAL` is a bug of ours. */
    readonly code: ErrorCode | 'INTERNAL'
    readonly message: string
    readonly details: readonly string[]
    readonly hint: string | null
  }
}

export function describeErrorAsJson(error: unknown, hint: string | undefined): ErrorDocument {
  const code = isPbManifestError(error) ? error.code : 'INTERNAL'
  const message = error instanceof Error ? error.message : String(error)
  const details = isPbManifestError(error) ? error.details : []
  return { error: { code, message, details, hint: hint ?? null } }
}

/** Whether these arguments, which may not even make sense, ask for JSON on standard output. */
export function asksForJson(args: readonly string[]): boolean {
  if (args[0] !== 'verify' && args[0] !== 'backup') return false
  let answer = false
  for (const [index, arg] of args.entries()) {
    if (arg === '--') break
    if (arg === '--output') answer = args[index + 1] === 'json'
    if (arg.startsWith('--output=')) answer = arg === '--output=json'
  }
  return answer
}
