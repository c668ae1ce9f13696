import type { CommandResults } from '../commands/command-results.js'
import { formatCommand } from '../commands/format-command.js'
import type { SessionCommand } from '../commands/replication-command.js'
import type { BackupSession } from '../session/backup-session.js'
import type { FirstFailure } from './first-failure.js'

/** Sends one command to a session, and waits for its result; no longer than until something fails elsewhere. */
export async function runCommand<Command extends SessionCommand>(
  session: BackupSession,
  failure: FirstFailure,
  command: Command,
): Promise<CommandResults[Command['command']]> {
  const name = command.command
  return (await failure.waitFor(
    session.run(name, formatCommand(command), failure.signal),
  )) as CommandResults[Command['command']]
}
