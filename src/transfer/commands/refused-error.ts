import { PbManifestError } from '../../errors.js'

/** Why a command is refused, as far as its sender can make a difference of it. */
export type Refusal =
  /** Not now, or not from this session. */
  | 'wrong-state'
  /** It names something that is not there. */
  | 'unknown-object'
  /** A value in it makes no sense. */
  | 'invalid-value'
  /** It asks for something that nobody gets. */
  | 'forbidden'

/** A command that was understood, and is not obeyed. */
export class RefusedError extends PbManifestError {
  readonly refusal: Refusal

  constructor(refusal: Refusal, message: string, hint?: string) {
    super('USAGE', message, hint === undefined ? {} : { hint })
    this.refusal = refusal
  }
}

/** A command that makes no sense now, or from this session. */
export function refused(message: string, hint?: string): RefusedError {
  return new RefusedError('wrong-state', message, hint)
}
