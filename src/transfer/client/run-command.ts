import type { CommandResults } from '../commands/command-results.js'
import type { SessionCommand, SessionCommandName } from '../commands/replication-command.js'
import type { BackupSession } from '../session/backup-session.js'
import type { FirstFailure } from './first-failure.js'

/** Sends one command to a session, and waits for its result; no longer than until something fails elsewhere. */
export async function runCommand<Name extends SessionCommandName>(
  session: BackupSession,
  failure: FirstFailure,
  command: SessionCommand<Name>,
): Promise<CommandResults[Name]> {
  return await failure.waitFor(session.run(command, failure.signal))
}
