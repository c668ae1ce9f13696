import { WireError } from '../wire-error.js'

/** The client is gone; nobody will read this, but the handler and the log will see it. */
export function connectionLost(cause?: Error): WireError {
  const reason = describeTlsError(cause)
  return reason === undefined
    ? new WireError('08006', 'connection to client lost', { severity: 'FATAL', cause })
    : new WireError('08P01', `SSL error: ${reason}`, { severity: 'FATAL', cause })
}

/** In the words of OpenSSL, or of Node where it is Node that ended it. */
function describeTlsError(error: Error | undefined): string | undefined {
  if (error === undefined || !('code' in error) || typeof error.code !== 'string') return undefined
  if (!/^ERR_(?:SSL|TLS)_/.test(error.code)) return undefined
  return 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
}

/** A client that takes nothing of what we send. */
export function stalledClient(): WireError {
  return new WireError('08006', 'terminating connection because the client does not read', {
    severity: 'FATAL',
  })
}

/** A client that sends on and on while its query runs. */
export function tooFarAhead(): WireError {
  return new WireError(
    '08P01',
    'terminating connection because the client sends too much while a query runs',
    {
      severity: 'FATAL',
    },
  )
}

export function authenticationTimeout(): WireError {
  return new WireError('57014', 'canceling authentication due to timeout', { severity: 'FATAL' })
}

export function idleTimeout(): WireError {
  return new WireError('57P05', 'terminating connection due to idle-session timeout', { severity: 'FATAL' })
}

/** We are told to stop. */
export function adminShutdown(): WireError {
  return new WireError('57P01', 'terminating connection due to administrator command', { severity: 'FATAL' })
}

export function tooManyConnections(): WireError {
  return new WireError('53300', 'sorry, too many clients already', { severity: 'FATAL' })
}

/** For a client that did not say who it is before so many others came. */
export function tooManyStrangers(): WireError {
  return new WireError('53300', 'too many connections that are not authenticated', { severity: 'FATAL' })
}
