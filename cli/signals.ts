import { exitStatusOfSignal, type StopSignal } from './exit-status.js'

/** The parts of `process` that this needs. */
interface SignalProcess {
  on(name: StopSignal, listener: () => void): unknown
  exit(status: number): never
}

/** What the signals that the process gets mean to a command. */
export interface Signals {
  /** Fires when the process is told to stop, so that the work stops and cleans up. Its reason is the signal's name. */
  readonly stop: AbortSignal
  /** From now on SIGHUP calls this, and does not stop. */
  readonly onHangup: (listener: () => void) => void
  /** From now on, a second SIGINT or SIGTERM calls this, and does not end the process; a third one does. */
  readonly onSecondStop: (listener: () => void) => void
}

/**
 * Listens to SIGINT and SIGTERM, of which a second one, of either kind, does not wait for the clean-up; and to SIGHUP.
 * Of that, a shell may send more when its terminal closes, so it never counts as the second.
 *
 * @param isOnTerminal - when not, SIGHUP is not about us, and is ignored. `nohup` asks for just that, but Node undoes it:
 * it starts with the default action for every signal, and leaves no trace of what it found.
 */
export function watchSignals(process: SignalProcess, isOnTerminal: boolean): Signals {
  const controller = new AbortController()
  let stops = 0
  let stopNow: (() => void) | undefined
  const stop = (name: StopSignal): void => {
    stops++
    if (stops === 1) controller.abort(name)
    else if (stops === 2 && stopNow !== undefined) stopNow()
    else process.exit(exitStatusOfSignal(name))
  }
  process.on('SIGINT', () => stop('SIGINT'))
  process.on('SIGTERM', () => stop('SIGTERM'))
  let hangUp = (): void => {
    if (isOnTerminal) controller.abort('SIGHUP')
  }
  process.on('SIGHUP', () => hangUp())
  return {
    stop: controller.signal,
    onHangup: (listener) => {
      hangUp = listener
    },
    onSecondStop: (listener) => {
      stopNow = listener
    },
  }
}

/** Which signal aborted this; `undefined` when none did. */
export function stopSignalOf(signal: AbortSignal): StopSignal | undefined {
  return signal.aborted ? (signal.reason as StopSignal) : undefined
}
