import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { describeServerError, onOneLine, reportedDetails } from '../../connection/server-error.js'
import type { Report } from '../../wire/protocol/backend-messages.js'

const SYNTAX_ERROR = '42601'

/** What a database server says that was taken for an agent. */
const walSenderWords = 'commands in WAL sender'

/** The error that an agent has reported, in its words. */
export function reportedError(report: Report): PbManifestError {
  const { message = 'an error without a message', hint, sqlstate, detail } = report
  const isStranger = sqlstate === SYNTAX_ERROR || message.includes(walSenderWords)
  const shownHint = isStranger ? strangerHint : hint
  return new PbManifestError('SERVER', onOneLine(message), {
    details: reportedDetails('agent', { message, detail }),
    ...(shownHint === undefined ? {} : { hint: onOneLine(shownHint) }),
  })
}

/** What we send is right for an agent of our version. */
const strangerHint = 'This may not be an agent of pbmanifest, or not one of this version.'

/** What is left to say when the connection is gone. */
export function lostAgent(cause: unknown): PbManifestError {
  if (isPbManifestError(cause)) return cause
  return new PbManifestError('SERVER', `lost the connection to the agent: ${describeServerError(cause)}`, {
    cause,
  })
}

/** What it sends are no messages. */
export function outOfStep(): PbManifestError {
  return new PbManifestError('SERVER', 'lost synchronization with the agent: invalid message')
}
