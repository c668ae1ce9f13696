import yargs, { type Argv } from 'yargs'
import type { Command, Program } from './commands/command.js'
import { type OptionDescription, type OptionTable, spellingsOf } from './option-table.js'

const COLUMNS = 80

/** The help of a command, or of the program, in lines of at most 80 columns where words allow it. */
export async function formatHelp(program: Program, command: Command | undefined): Promise<string> {
  let parser = createParser().usage(
    command === undefined
      ? 'Usage: $0 COMMAND [OPTION]... [ARGUMENT]...'
      : `Usage: $0 ${command.name} ${command.synopsis}`.trimEnd() + `\n\n${asSentence(command.summary)}`,
  )
  if (command === undefined) {
    for (const { name, summary } of program.commands) parser = parser.command(name, summary)
  } else {
    parser = describeOptions(parser, command.options)
  }
  const help = await describeOptions(parser, program.generalOptions, 'General:').getHelp()
  const page = command === undefined ? 'pbmanifest' : `pbmanifest-${command.name}`
  return `${help.trimEnd()}\n${formatExamples(command)}\nManual: man ${page}`
}

/** The options alone, for a program of another name. */
export async function formatOptions(table: OptionTable, group: string): Promise<string> {
  const help = await describeOptions(createParser(), table, group).getHelp()
  return help.trim()
}

// yargs is told what its own words and types are only as far as they are to stand in the help.
function createParser(): Argv {
  return yargs()
    .scriptName('pbmanifest')
    .detectLocale(false)
    .version(false)
    .help(false)
    .wrap(COLUMNS)
    .exitProcess(false)
}

/** By the names as the help shows them, with their values: `--jobs=N`. */
function describeOptions(parser: Argv, table: OptionTable, group?: string): Argv {
  for (const [name, option] of Object.entries(table)) {
    const { letters } = spellingsOf(name, option)
    const shown = nameWithValue(name, option)
    const heading = option.group ?? group
    parser.option(shown, {
      alias: letters,
      describe: option.describe,
      ...(heading !== undefined && { group: heading }),
    })
  }
  return parser
}

function nameWithValue(name: string, option: OptionDescription): string {
  if (option.type === 'boolean') return name
  return option.valueWhenBare === undefined ? `${name}=${option.value}` : `${name}[=${option.value}]`
}

function formatExamples(command: Command | undefined): string {
  if (command === undefined || command.examples.length === 0) return ''
  const examples = command.examples.map(
    ([args, what]) => `  # ${what}\n${wrapCommand(`pbmanifest ${command.name} ${args}`.trimEnd())}`,
  )
  return `\nExamples:\n${examples.join('\n')}\n`
}

/** A command in a line, indented; where it is too long, it goes on as the shell has it. */
export function wrapCommand(text: string, columns: number = COLUMNS): string {
  const lines: string[] = []
  let line = ' '
  for (const word of text.split(' ')) {
    if (line.length + word.length + 3 > columns) {
      lines.push(`${line} \\`)
      line = '     '
    }
    line += ` ${word}`
  }
  return [...lines, line].join('\n')
}

function asSentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`
}
