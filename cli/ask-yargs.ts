import yargs, { type ArgumentsCamelCase, type Argv } from 'yargs'
import { commands, generalGroup, generalOptions } from './command-table.js'
import type { Command } from './commands/command.js'

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

/** What yargs answers to these arguments: a help, a completion script, or the words that complete a line. */
export async function askYargs(args: readonly string[]): Promise<string> {
  let text = ''
  // Given a callback, yargs neither prints nor exits. It may call back more than once, the last time with the text.
  await createParser().parseAsync(args, {}, (_error, _values, output) => {
    text = output
  })
  return text
}

function createParser(): Argv {
  // What stands in brackets behind an option in the help is one of the strings below.
  const parser = yargs()
    .scriptName('pbmanifest')
    .detectLocale(false)
    .usage('Usage: $0 COMMAND [OPTION]... [ARGUMENT]...')
    .parserConfiguration(parserConfiguration)
    .options(generalOptions)
    .version('version', 'print the version, then exit', '')
    .alias('version', 'V')
    .help('help', 'print this help, then exit')
    .alias('help', '?')
    .group(['version', 'help'], generalGroup)
    .updateStrings({ boolean: 'flag', string: 'value', array: 'repeatable' })
    .wrap(null)
    .exitProcess(false)
  for (const command of commands) {
    parser.command({
      command: command.name,
      describe: command.summary,
      builder: (parser) => describeCommand(parser, command),
      handler: () => {},
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
