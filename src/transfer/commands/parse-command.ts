import type { Pathname } from '../../files/pathname.js'
import { type OptionReaders, readOptions } from './command-options.js'
import { CommandTokens } from './command-tokens.js'
import {
  readFlag,
  readLocation,
  readManifestOption,
  readMaxRate,
  readString,
  readTablespaceOid,
} from './option-values.js'
import { type CommandName, DEFAULT_LABEL, type ReplicationCommand } from './replication-command.js'

type CommandReaders = { readonly [Name in CommandName]: (tokens: CommandTokens) => ReplicationCommand<Name> }

const commandReaders: CommandReaders = {
  IDENTIFY_CLUSTER: () => ({ command: 'IDENTIFY_CLUSTER' }),
  FIND_WAL_SENDER: (tokens) => ({ command: 'FIND_WAL_SENDER', applicationName: readString(tokens) }),
  START_BACKUP: readStartBackup,
  JOIN_BACKUP: (tokens) => ({ command: 'JOIN_BACKUP', backupId: readString(tokens) }),
  LIST_TABLESPACES: (tokens) => {
    const { PROGRESS: progress = false } = readOptions<{ PROGRESS: boolean }>(tokens, { PROGRESS: readFlag })
    return { command: 'LIST_TABLESPACES', progress }
  },
  LIST_FILES: (tokens) => ({
    command: 'LIST_FILES',
    tablespace: tokens.next.type === 'end' || isSemicolon(tokens) ? undefined : readTablespaceOid(tokens),
  }),
  LIST_WAL_FILES: readListWalFiles,
  SEND_FILE: readSendFile,
  STOP_BACKUP: (tokens) => {
    const { NOWAIT: nowait = false } = readOptions<{ NOWAIT: boolean }>(tokens, { NOWAIT: readFlag })
    return { command: 'STOP_BACKUP', wait: !nowait }
  },
  BUILD_MANIFEST: (tokens) => ({ command: 'BUILD_MANIFEST', backupId: readString(tokens) }),
  LEAVE_BACKUP: () => ({ command: 'LEAVE_BACKUP' }),
  ABORT_BACKUP: () => ({ command: 'ABORT_BACKUP' }),
  LIST_BACKUPS: () => ({ command: 'LIST_BACKUPS' }),
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
    throw tokens.unexpected(`The commands are ${Object.keys(commandReaders).join(', ')}.`)
  }
  tokens.take()
  const command = commandReaders[next.word](tokens)
  tokens.takeSymbol(';')
  if (tokens.next.type !== 'end') throw tokens.unexpected()
  return command
}

interface StartOptions {
  readonly LABEL: string
  readonly FAST: boolean
  readonly MAX_RATE: number
  readonly MANIFEST: 'yes' | 'no' | 'force-encode'
  readonly MANIFEST_CHECKSUMS: { readonly algorithm: string; readonly refuse: () => Error }
}

const startOptionReaders: OptionReaders<StartOptions> = {
  LABEL: readString,
  FAST: readFlag,
  MAX_RATE: readMaxRate,
  MANIFEST: readManifestOption,
  MANIFEST_CHECKSUMS: (tokens, keyword) => ({
    algorithm: readString(tokens),
    refuse: () => tokens.error('manifest checksums require a backup manifest', keyword),
  }),
}

function readStartBackup(tokens: CommandTokens): ReplicationCommand<'START_BACKUP'> {
  const options = readOptions(tokens, startOptionReaders)
  const { LABEL: label = DEFAULT_LABEL, FAST: fast = false, MANIFEST: manifest = 'yes' } = options
  if (manifest === 'no' && options.MANIFEST_CHECKSUMS !== undefined) throw options.MANIFEST_CHECKSUMS.refuse()
  return {
    command: 'START_BACKUP',
    label,
    fast,
    maxRate: options.MAX_RATE,
    manifest,
    manifestChecksums: options.MANIFEST_CHECKSUMS?.algorithm,
  }
}

function readListWalFiles(tokens: CommandTokens): ReplicationCommand<'LIST_WAL_FILES'> {
  const options = readOptions<{ START_WAL_LOCATION: bigint; END_WAL_LOCATION: bigint }>(tokens, {
    START_WAL_LOCATION: readLocation,
    END_WAL_LOCATION: readLocation,
  })
  return {
    command: 'LIST_WAL_FILES',
    startLsn: options.START_WAL_LOCATION,
    endLsn: options.END_WAL_LOCATION,
  }
}

function readSendFile(tokens: CommandTokens): ReplicationCommand<'SEND_FILE'> {
  const files = readPathnames(tokens).map((pathname) => ({ pathname, size: undefined }))
  const { NOVERIFY_CHECKSUMS: noVerify = false } = readOptions<{ NOVERIFY_CHECKSUMS: boolean }>(tokens, {
    NOVERIFY_CHECKSUMS: readFlag,
  })
  return { command: 'SEND_FILE', files, verifyChecksums: !noVerify }
}

function readPathnames(tokens: CommandTokens): Pathname[] {
  if (!tokens.takeSymbol('(')) throw tokens.unexpected('Pathnames stand in parentheses.')
  const pathnames = [readString(tokens)]
  while (tokens.takeSymbol(',')) pathnames.push(readString(tokens))
  if (!tokens.takeSymbol(')')) throw tokens.unexpected()
  return pathnames
}

function isSemicolon(tokens: CommandTokens): boolean {
  return tokens.next.type === 'symbol' && tokens.next.symbol === ';'
}

function isCommandName(word: string): word is CommandName {
  return Object.hasOwn(commandReaders, word)
}
