import { RefusedError } from '../commands/refused-error.js'

/** A command that makes no sense now, or from this session. */
export function refused(message: string, hint?: string): RefusedError {
  return new RefusedError('wrong-state', message, hint)
}
