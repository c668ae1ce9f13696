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

/** For a command that takes options only. */
export function refuseOperands([first]: readonly string[]): void {
  if (first !== undefined) throw tooManyArguments(first)
}

/** In PostgreSQL's words. */
function tooManyArguments(first: string): Error {
  return usageError(`too many command-line arguments (first is "${first}")`)
}
