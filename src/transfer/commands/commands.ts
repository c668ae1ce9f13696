import {
  abortBackup,
  buildManifest,
  joinBackup,
  leaveBackup,
  listBackups,
  startBackup,
  stopBackup,
  uploadManifest,
} from './backup-commands.js'
import {
  findWalSender,
  identifyCluster,
  listFiles,
  listTablespaces,
  listWalFiles,
  sendFile,
} from './cluster-commands.js'
import type { CommandContract } from './command-contract.js'
import { CommandTokens } from './command-tokens.js'
import type { CommandName, ReplicationCommand } from './replication-command.js'

/** What two sides agree on of every command. */
export const commandContracts: { readonly [Name in CommandName]: CommandContract<Name> } = {
  IDENTIFY_CLUSTER: identifyCluster,
  FIND_WAL_SENDER: findWalSender,
  UPLOAD_MANIFEST: uploadManifest,
  START_BACKUP: startBackup,
  JOIN_BACKUP: joinBackup,
  LIST_TABLESPACES: listTablespaces,
  LIST_FILES: listFiles,
  LIST_WAL_FILES: listWalFiles,
  SEND_FILE: sendFile,
  STOP_BACKUP: stopBackup,
  BUILD_MANIFEST: buildManifest,
  LEAVE_BACKUP: leaveBackup,
  ABORT_BACKUP: abortBackup,
  LIST_BACKUPS: listBackups,
}

/**
 * Reads a command. Keywords may be in upper or lower case, white space is any, and a semicolon may follow.
 *
 * @throws {@link CommandSyntaxError}, whatever the text is
 * @example
 * ```ts
 * parseCommand("JOIN_BACKUP '0123456789abcdef0123456789abcdef'")
 * ```
 */
export function parseCommand(text: string): ReplicationCommand {
  const tokens = new CommandTokens(text)
  const { next } = tokens
  if (next.type !== 'word' || !isCommandName(next.word)) {
    throw tokens.unexpected(`The commands are ${Object.keys(commandContracts).join(', ')}.`)
  }
  tokens.take()
  const command = commandContracts[next.word].parse(tokens)
  tokens.takeSymbol(';')
  if (tokens.next.type !== 'end') throw tokens.unexpected()
  return command
}

function isCommandName(word: string): word is CommandName {
  return Object.hasOwn(commandContracts, word)
}

/**
 * The text of a command; the reverse of {@link parseCommand}. What is as it is by default is left out.
 *
 * @throws RangeError when a string of it cannot stand in a command
 */
export function formatCommand<Name extends CommandName>(command: ReplicationCommand<Name>): string {
  return [command.command, ...commandContracts[command.command].format(command)].join(' ')
}
