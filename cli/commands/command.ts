import type { Readable } from 'node:stream'
import type { InferredOptionTypes } from 'yargs'
import type { ExitStatus } from '../exit-status.js'
import type { OptionTable, ValueKind } from '../option-table.js'
import type { Messages } from '../messages.js'
import type { ServerNotice } from '../../src/transfer/connection/server-error.js'

/** What a command has to do with the world outside of the library. */
export interface CommandContext {
  /** Writes text, of one line or more, to standard output. */
  readonly print: (text: string) => void
  /** Writes bytes there as they are, whatever a terminal makes of them. */
  readonly printBytes: (bytes: Uint8Array) => void
  /** Writes a JSON document there, whole or in pieces. */
  readonly printJson: (json: string | Iterable<string>) => void
  /** Standard error. */
  readonly messages: Messages
  /** Says there what a server wants said. */
  readonly tellNotice: (notice: ServerNotice) => void
  readonly stdin: Readable
  readonly env: Readonly<NodeJS.ProcessEnv>
  /** Fires when the process is told to stop. */
  readonly signal: AbortSignal
  /** From now on SIGHUP calls this, and does not stop. */
  readonly onHangup: (listener: () => void) => void
  /** From now on, a second SIGINT or SIGTERM calls this, and does not end the process; a third one does. */
  readonly onSecondStop: (listener: () => void) => void
  /** What the program can do, for those commands that tell about it. */
  readonly program: Program
}

/** All that help, manual and completion are made of. */
export interface Program {
  /** In the order of the help. */
  readonly commands: readonly Command[]
  /** The options that every command has besides its own. */
  readonly generalOptions: OptionTable
}

/** Options by the heading under which the help lists them. */
type OptionGroups = Readonly<Record<string, OptionTable>>

type NameIn<Groups extends OptionGroups> = { [Heading in keyof Groups]: keyof Groups[Heading] }[keyof Groups]

/** What the options of these groups are after a command line was read: `undefined` when not given. */
export type OptionValues<Groups extends OptionGroups> = InferredOptionTypes<{
  readonly [Name in NameIn<Groups>]: Extract<Groups[keyof Groups], Record<Name, unknown>>[Name]
}>

interface CommandDescription {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What follows `pbmanifest NAME` in the help. */
  readonly synopsis: string
  /** What its operands are: of a kind, one of a few words, the name of a command, or nothing at all. */
  readonly operands: ValueKind | 'command' | 'none' | readonly string[]
  /** Options that are no options of this command, by their spellings, `-x` or `--xlog`, and what to do instead. */
  readonly refused?: Readonly<Record<string, string>>
  /** A signal is the ordinary end of this command, or of those of its actions (the first operand): nothing is said about it, and the exit status is what `run` returns. */
  readonly endsBySignal?: true | readonly string[]
  /** Arguments, and what they do. */
  readonly examples: readonly (readonly [args: string, what: string])[]
}

interface CommandDefinition<Groups extends OptionGroups> extends CommandDescription {
  readonly options: Groups
  run(
    context: CommandContext,
    options: OptionValues<Groups>,
    operands: readonly string[],
  ): Promise<ExitStatus>
}

/** A command of any options. It must be given those of its own table. */
export interface Command extends CommandDescription {
  readonly options: OptionTable
  run(context: CommandContext, options: object, operands: readonly string[]): Promise<ExitStatus>
}

/** Makes a {@link Command}; inside, the types of its options follow from its table. */
export function defineCommand<const Groups extends OptionGroups>(
  definition: CommandDefinition<Groups>,
): Command {
  return { ...definition, options: listOptions(definition.options) }
}

function listOptions(groups: OptionGroups): OptionTable {
  const options = Object.entries(groups).flatMap(([group, table]) =>
    Object.entries(table).map(([name, option]) => [name, { ...option, group }] as const),
  )
  return Object.fromEntries(options)
}
