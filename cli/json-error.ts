import { type ErrorCode, isPbManifestError } from '../src/errors.js'
import type { Program } from './commands/command.js'
import { findLongOptions, type OptionDescription } from './option-table.js'

/**
 * What `--output=json`, or `--json` where `--output` is a file, prints in place of a report when there can be none.
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

/**
 * What these arguments, which may not even make sense, ask for on standard output: `json`.
 *
 * @returns `undefined` when they do not ask, or for what the command does not have
 */
export function outputAskedFor(
  [name, ...rest]: readonly string[],
  { commands }: Program,
): string | undefined {
  const options = commands.find((command) => command.name === name)?.options ?? {}
  const output = options['output']
  const words = wordsOf(output)
  let answer: string | undefined
  for (const [index, arg] of rest.entries()) {
    if (arg === '--') break
    const [spelled = '', value] = arg.split('=', 2)
    if (!spelled.startsWith('--')) continue
    const found = [...findLongOptions(spelled.slice(2), options).keys()]
    if (found.length !== 1) continue
    if (found[0] === 'json') return 'json'
    if (found[0] === 'output') answer = value ?? rest[index + 1]
  }
  return answer !== undefined && words.includes(answer) ? answer : undefined
}

/** What may be asked for, where it is not the name of a file. */
function wordsOf(output: OptionDescription | undefined): readonly string[] {
  if (output === undefined || output.type === 'boolean') return []
  return 'choices' in output ? output.choices : (output.suggestions ?? [])
}
