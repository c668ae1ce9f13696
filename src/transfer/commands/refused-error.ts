import { PbManifestError } from '../../errors.js'

/** Why a command is refused, as far as its sender can make a difference of it. */
export type Refusal =
  /** Not now, or not from this session. */
  | 'wrong-state'
  /** The server is not as it would have to be. */
  | 'wrong-server'
  /** It names something that is not there. */
  | 'unknown-object'
  /** It was done already. */
  | 'already-done'
  /** A value in it makes no sense. */
  | 'invalid-value'
  /** It asks for something that nobody gets. */
  | 'forbidden'

/** A command that was understood, and is not obeyed. */
export class RefusedError extends PbManifestError {
  readonly refusal: Refusal

  constructor(refusal: Refusal, message: string, hint?: string, detail?: string) {
    super(refusal === 'wrong-server' ? 'SERVER' : 'USAGE', message, {
      ...(hint === undefined ? {} : { hint }),
      ...(detail === undefined ? {} : { details: [detail] }),
    })
    this.refusal = refusal
  }
}

/** A command that makes no sense now, or from this session. */
export function refused(message: string, hint?: string): RefusedError {
  return new RefusedError('wrong-state', message, hint)
}
