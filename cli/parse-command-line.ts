import yargs, { type ArgumentsCamelCase, type Argv } from 'yargs'
import { type ColorChoice, colorChoices } from './color.js'
import { backupIdCommand } from './commands/backup-id.js'
import type { Command } from './commands/command.js'
import { fragmentCommand } from './commands/fragment.js'
import { mergeCommand } from './commands/merge.js'
import { verifyCommand } from './commands/verify.js'
import { expandArguments } from './expand-arguments.js'
import { version } from './package-info.js'
import { usageError } from './usage-error.js'

const commands: readonly Command[] = [verifyCommand, mergeCommand, fragmentCommand, backupIdCommand]

const generalGroup = 'General:'

const generalOptions = {
  color: { choices: colorChoices, type: 'string', group: generalGroup, describe: 'colour in messages' },
  debug: { type: 'boolean', group: generalGroup, describe: 'show the stack of an error' },
} as const

// yargs answers these itself.
const answeredOptions = {
  version: { alias: 'V', type: 'boolean' },
  help: { alias: '?', type: 'boolean' },
} as const

// An option is what its table says and nothing more: no camelCase twins, no numbers out of text, no `--no-` forms.
const parserConfiguration = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'greedy-arrays': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'strip-aliased': true,
} as const

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
  if (name === '--get-yargs-completions' || name === 'completion') return await askYargs(args)
  const command = commands.find((command) => command.name === name)
  if (command !== undefined) {
    return await askYargs([
      command.name,
      ...expandArguments(rest, { ...generalOptions, ...answeredOptions, ...command.options }),
    ])
  }
  if (name !== undefined && !name.startsWith('-')) throw usageError(`unrecognized command "${name}"`)
  const request = await askYargs(expandArguments(args, { ...generalOptions, ...answeredOptions }))
  if (request.kind === 'print' && request.text === '') {
    throw usageError(
      'no command specified',
      ...(name === undefined ? [] : ['The command comes before the options.']),
    )
  }
  return request
}

/** The name of the command that these arguments begin with, for `Try "pbmanifest verify --help"`. */
export function commandNameOf(args: readonly string[]): string | undefined {
  return commands.find(({ name }) => name === args[0])?.name
}

async function askYargs(args: readonly string[]): Promise<Request> {
  let request: Request | undefined
  const parser = createParser((command, values) => {
    const { _: operands, $0: _script, color, debug, ...options } = values
    request = {
      kind: 'run',
      command,
      options,
      operands: operands.slice(1).map(String),
      color: colorChoices.find((choice) => choice === color),
      debug: debug === true,
    }
  })
  let text = ''
  try {
    // Given a callback, yargs neither prints nor exits. It may call back more than once, the last time with the text.
    await parser.parseAsync(args, {}, (_error, _values, output) => {
      text = output
    })
  } catch (error) {
    throw error instanceof Error && error.name === 'YError' ? usageError(error.message) : error
  }
  return request ?? { kind: 'print', text }
}

function createParser(choose: (command: Command, values: ArgumentsCamelCase) => void): Argv {
  // What stands in brackets behind an option in the help is one of the strings below.
  const parser = yargs()
    .scriptName('pbmanifest')
    .detectLocale(false)
    .usage('Usage: $0 COMMAND [OPTION]... [ARGUMENT]...')
    .parserConfiguration(parserConfiguration)
    .options(generalOptions)
    .version('version', 'print the version, then exit', `pbmanifest ${version}`)
    .alias('version', answeredOptions.version.alias)
    .help('help', 'print this help, then exit')
    .alias('help', answeredOptions.help.alias)
    .group(['version', 'help'], generalGroup)
    .updateStrings({ boolean: 'flag', string: 'value', array: 'repeatable' })
    .strictOptions()
    .wrap(null)
    .exitProcess(false)
    .fail(false)
  for (const command of commands) {
    parser.command({
      command: command.name,
      describe: command.summary,
      builder: (parser) => describeCommand(parser, command),
      handler: (values) => choose(command, values),
    })
  }
  return parser.completion('completion', 'print a completion script for your shell', complete)
}

function describeCommand(parser: Argv, { name, synopsis, options, examples }: Command): Argv {
  parser.usage(`Usage: $0 ${name} ${synopsis}`.trimEnd()).options(options)
  for (const [args, what] of examples) parser.example(`$0 ${name} ${args}`.trimEnd(), what)
  return parser
}

// yargs offers options in place of file names, and every letter also as `--letter`.
function complete(
  current: string,
  values: ArgumentsCamelCase,
  filter: (onCompleted: (error: Error | null, words?: string[]) => void) => void,
  done: (words: string[]) => void,
): void {
  const hasCommand = values._.length > 2
  if (hasCommand && !current.startsWith('-')) return done([])
  filter((_error, words = []) => done(words.filter((word) => !/^--.(?:$|[:\t])/.test(word))))
}
