import type { Readable } from 'node:stream'
import type { InferredOptionTypes } from 'yargs'
import type { ExitStatus } from '../exit-status.js'
import type { OptionTable } from '../read-arguments.js'
import type { Messages } from '../messages.js'

/** What a command has to do with the world outside of the library. */
export interface CommandContext {
  /** Writes text, of one line or more, to standard output. */
  readonly print: (text: string) => void
  /** Writes a JSON document there, whole or in pieces. */
  readonly printJson: (json: string | Iterable<string>) => void
  /** Standard error. */
  readonly messages: Messages
  readonly stdin: Readable
  readonly env: Readonly<NodeJS.ProcessEnv>
  /** Fires when the process is told to stop. */
  readonly signal: AbortSignal
  /** From now on SIGHUP calls this, and does not stop. */
  readonly onHangup: (listener: () => void) => void
}

interface CommandDescription<Table extends OptionTable> {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What follows `pbmanifest NAME` in the help. */
  readonly synopsis: string
  readonly options: Table
  /** A signal is this command's ordinary end: nothing is said about it, and the exit status is what `run` returns. */
  readonly endsBySignal?: true
  /** Arguments, and what they do. */
  readonly examples: readonly (readonly [args: string, what: string])[]
}

interface CommandDefinition<Table extends OptionTable> extends CommandDescription<Table> {
  run(
    context: CommandContext,
    options: InferredOptionTypes<Table>,
    operands: readonly string[],
  ): Promise<ExitStatus>
}

/** A command of any options. It must be given those of its own table. */
export interface Command extends CommandDescription<OptionTable> {
  run(context: CommandContext, options: object, operands: readonly string[]): Promise<ExitStatus>
}

/** Makes a {@link Command}; inside, the types of its options follow from its table. */
export function defineCommand<const Table extends OptionTable>(
  definition: CommandDefinition<Table>,
): Command {
  return definition
}
