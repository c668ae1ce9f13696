import { describeSystemError } from '../src/files/system-error.js'
import { exitStatus } from './exit-status.js'

/** The parts of `process` that this needs. */
type OutputProcess = Pick<NodeJS.Process, 'stdout' | 'stderr' | 'exitCode'>

/**
 * Decides what happens when our output cannot be written. A reader that went away (`| head`, or a terminal that was
 * closed) is not our failure and not worth a word; a disk that is full is.
 */
export function watchOutput(process: OutputProcess): void {
  process.stderr.on('error', () => {})
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || (error.code === 'EIO' && process.stdout.isTTY)) return
    const reason = describeSystemError(error)?.message ?? error.message
    process.stderr.write(`pbmanifest: error: could not write to standard output: ${reason}\n`)
    process.exitCode ||= exitStatus.inputOutput
  })
}
