import { type ColorChoice, colorChoices } from './color.js'
import { program } from './command-table.js'
import type { Command } from './commands/command.js'
import { findCommand } from './commands/help.js'
import { version } from '../src/version.js'
import { readArguments, type ReadArguments } from './read-arguments.js'
import { usageError } from './usage-error.js'

/** What a command line asks for. */
export type Request =
  | { readonly kind: 'print'; readonly text: string }
  | {
      readonly kind: 'run'
      readonly command: Command
      readonly options: Readonly<Record<string, unknown>>
      readonly operands: readonly string[]
      readonly color: ColorChoice | undefined
      readonly debug: boolean
    }

/**
 * Understands a command line.
 *
 * @throws {@link PbManifestError} `USAGE`
 */
export async function parseCommandLine(args: readonly string[]): Promise<Request> {
  const [name, ...rest] = args
  if (name === undefined || name.startsWith('-')) return await parseWithoutCommand(args)
  const command = findCommand(name, program)
  const read = readArguments(rest, { ...program.generalOptions, ...command.options }, command.refused)
  const answer = await answerTo(read, command)
  if (answer !== undefined) return answer
  const { color, debug, ...options } = read.options
  return {
    kind: 'run',
    command,
    options,
    operands: read.operands,
    color: colorChoices.find((choice) => choice === color),
    debug: debug === true,
  }
}

/** The name of the command that these arguments begin with, for `Try "pbmanifest verify --help"`. */
export function commandNameOf(args: readonly string[]): string | undefined {
  return program.commands.find(({ name }) => name === args[0])?.name
}

async function parseWithoutCommand(args: readonly string[]): Promise<Request> {
  const answer = await answerTo(readArguments(args, program.generalOptions), undefined)
  if (answer !== undefined) return answer
  throw usageError(
    'no command specified',
    ...(args.length === 0 ? [] : ['The command comes before the options.']),
  )
}

async function answerTo(
  { options }: ReadArguments,
  command: Command | undefined,
): Promise<Request | undefined> {
  if (options['help'] === true) {
    const { formatHelp } = await import('./help.js')
    return { kind: 'print', text: await formatHelp(program, command) }
  }
  if (options['version'] === true) return { kind: 'print', text: `pbmanifest ${version}` }
  return undefined
}
