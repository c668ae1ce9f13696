import { isPbManifestError } from '../../src/errors.js'
import { displayText } from '../../src/files/display-text.js'
import { exitStatus, type ExitStatus } from '../exit-status.js'
import type { CommandContext } from '../commands/command.js'
import { refuseOperands } from '../operands.js'
import type { OptionTable } from '../option-table.js'
import type { Request } from '../parse-command-line.js'
import { readArguments } from '../read-arguments.js'
import { usageError } from '../usage-error.js'
import { formatStandInHelp } from './stand-in-help.js'
import { optionTableOf, type Peer, peers } from './peers.js'

/** Who our program is called as, when it stands in for one of PostgreSQL. */
export interface StandInName {
  readonly peer: Peer['name']
  /** For messages: `pg_basebackup`, or whatever it was linked as. */
  readonly name: string
}

const general: OptionTable = {
  version: { alias: 'V', type: 'boolean', describe: 'output version information, then exit' },
  help: { alias: '?', type: 'boolean', describe: 'show this help, then exit' },
}

/**
 * Understands a command line of a program of PostgreSQL. What it cannot say, variables of the environment say.
 *
 * @throws {@link PbManifestError} `USAGE`
 */
export async function parseStandIn(
  { peer: peerName, name }: StandInName,
  args: readonly string[],
  env: Readonly<NodeJS.ProcessEnv>,
): Promise<Request> {
  const peer = peers[peerName]
  const { command } = peer
  const table = { ...optionTableOf(peer), ...general }
  const { options, operands } = readArguments(args, table, command.refused)
  if (options['help'] === true) return { kind: 'print', text: await formatStandInHelp(peer, name, table) }
  if (options['version'] === true) {
    // The peer looks for it in the first place only, and so has main.
    throw usageError('-V/--version must be the only argument')
  }
  if (command.operands !== 'none') refuseOperands(operands.slice(1))
  if (peerName === 'pg_basebackup') await refuseAsServer(options)
  return {
    kind: 'run',
    command,
    options: { ...options, ...ignoreOfPeer(peer, options), ...readVariables(peer, env), output: 'text' },
    operands,
    color: undefined,
    debug: false,
  }
}

/** What the peer leaves to the server to refuse, in the words of both. */
async function refuseAsServer({ compress, pgdata }: Readonly<Record<string, unknown>>): Promise<void> {
  if (pgdata === undefined || typeof compress !== 'string' || !compress.startsWith('server-')) return
  const { readCompression } = await import('../commands/backup/read-compression.js')
  try {
    // In tar format nothing else is wrong with it.
    readCompression(compress, 'tar', () => {})
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    throw usageError(`could not initiate base backup: ERROR:  ${error.message}`)
  }
}

/** pg_verifybackup looks at `pg_wal` for nothing but WAL: where that is elsewhere, or not looked at, there need be none. */
function ignoreOfPeer(
  { name }: Peer,
  options: Readonly<Record<string, unknown>>,
): { readonly ignore?: readonly unknown[] } {
  if (name !== 'pg_verifybackup') return {}
  if (options['no-parse-wal'] !== true && options['wal-path'] === undefined) return {}
  const { ignore = [] } = options
  return { ignore: [ignore, 'pg_wal'].flat() }
}

function readVariables(
  { variables, command }: Peer,
  env: Readonly<NodeJS.ProcessEnv>,
): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const [variable, name] of Object.entries(variables)) {
    const text = env[variable]
    if (text === undefined || text === '') continue
    if (command.options[name]?.type !== 'boolean')
      values[name] = checkChoice(variable, text, command.options[name])
    else if (text === '1') values[name] = true
    else if (text !== '0') throw usageError(`invalid value "${text}" for ${variable}`, 'It must be 0 or 1.')
  }
  return values
}

function checkChoice(variable: string, text: string, option: OptionTable[string] | undefined): string {
  if (option === undefined || !('choices' in option) || option.choices.includes(text)) return text
  throw usageError(
    `invalid value "${text}" for ${variable}`,
    `It must be one of: ${option.choices.join(', ')}.`,
  )
}

/**
 * What the command has to say, as the peer says it: `pg_basebackup` nothing, but with `--verbose`, and `pg_verifybackup` one
 * line. What a server wants said has the form of libpq.
 */
export function standInContext(
  { peer }: StandInName,
  context: CommandContext,
  options: Readonly<Record<string, unknown>>,
): CommandContext {
  const { print, messages } = context
  if (peer === 'pg_verifybackup') return { ...context, print: (text) => print(text.split('\n', 1)[0] ?? '') }
  return {
    ...context,
    tellNotice: ({ severity, message, hint }) => {
      messages.lines(`${severity}:  ${displayText(message)}`)
      if (hint !== undefined) messages.lines(`HINT:  ${displayText(hint)}`)
    },
    print: (text) => {
      if (options['verbose'] === true) for (const line of text.split('\n')) messages.note(line)
    },
  }
}

/** The peers know two: done, and anything else. A signal is told as a shell tells it. */
export function standInStatus(status: ExitStatus): ExitStatus {
  switch (status) {
    case exitStatus.done:
    case exitStatus.bug:
    case exitStatus.hungUp:
    case exitStatus.interrupted:
    case exitStatus.terminated:
      return status
    default:
      return exitStatus.problems
  }
}
