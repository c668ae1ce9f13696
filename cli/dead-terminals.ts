import { closeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** The parts of `process` that this needs. */
type TerminalProcess = Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr'>

/**
 * To be called when the process exits. Node gives terminals their modes back then, and aborts, with a core file, when one
 * does not exist any more: after a hang-up, say, that we cleaned up after. One that is closed it leaves alone.
 */
export function closeDeadTerminals({ stdin, stdout, stderr }: TerminalProcess): void {
  for (const { isTTY, fd } of [stdin, stdout, stderr]) {
    if (isTTY && !isatty(fd)) closeSync(fd)
  }
}
