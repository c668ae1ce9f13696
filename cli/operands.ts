import { usageError } from './usage-error.js'

/**
 * The single operand of a command.
 *
 * @param what - what is missing when there is none: `backup directory`
 */
export function readOnlyOperand(operands: readonly string[], what: string): string {
  const [first, second] = operands
  if (first === undefined) throw usageError(`no ${what} specified`)
  if (second !== undefined) throw tooManyArguments(second)
  return first
}

/** In PostgreSQL's words. */
export function tooManyArguments(first: string): Error {
  return usageError(`too many command-line arguments (first is "${first}")`)
}
