import { exitStatusOfSignal, type StopSignal } from './exit-status.js'

/** The parts of `process` that this needs. */
interface SignalProcess {
  on(name: StopSignal, listener: () => void): unknown
  exit(status: number): never
}

/**
 * Turns SIGINT and SIGTERM into an abort whose reason is the signal's name, so that the work stops and cleans up.
 * A second signal, of either kind, does not wait for that.
 */
export function watchSignals(process: SignalProcess): AbortSignal {
  const controller = new AbortController()
  const stop = (name: StopSignal): void => {
    if (controller.signal.aborted) process.exit(exitStatusOfSignal(name))
    controller.abort(name)
  }
  process.on('SIGINT', () => stop('SIGINT'))
  process.on('SIGTERM', () => stop('SIGTERM'))
  return controller.signal
}

/** Which signal aborted this; `undefined` when none did. */
export function stopSignalOf(signal: AbortSignal): StopSignal | undefined {
  if (!signal.aborted) return undefined
  return signal.reason === 'SIGTERM' ? 'SIGTERM' : 'SIGINT'
}
