import { type ColorChoice, colorChoices } from './color.js'
import { answeredOptions, commands, generalOptions } from './command-table.js'
import type { Command } from './commands/command.js'
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
  if (name === '--get-yargs-completions' || name === 'completion') return await print(args)
  const command = commands.find((command) => command.name === name)
  if (command === undefined) return await parseWithoutCommand(args)
  const read = readArguments(rest, { ...generalOptions, ...answeredOptions, ...command.options })
  const answer = await answerTo(read, [command.name])
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
  return commands.find(({ name }) => name === args[0])?.name
}

async function parseWithoutCommand(args: readonly string[]): Promise<Request> {
  const [name] = args
  if (name !== undefined && !name.startsWith('-')) throw usageError(`unrecognized command "${name}"`)
  const answer = await answerTo(readArguments(args, { ...generalOptions, ...answeredOptions }), [])
  if (answer !== undefined) return answer
  throw usageError(
    'no command specified',
    ...(name === undefined ? [] : ['The command comes before the options.']),
  )
}

async function answerTo(
  { options }: ReadArguments,
  command: readonly string[],
): Promise<Request | undefined> {
  if (options['help'] === true) return await print([...command, '--help'])
  if (options['version'] === true) return { kind: 'print', text: `pbmanifest ${version}` }
  return undefined
}

async function print(args: readonly string[]): Promise<Request> {
  const { askYargs } = await import('./ask-yargs.js')
  return { kind: 'print', text: await askYargs(args) }
}
