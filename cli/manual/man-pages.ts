import { program } from '../command-table.js'
import { wrapCommand } from '../help.js'
import type { Command } from '../commands/command.js'
import { exitStatus } from '../exit-status.js'
import { type OptionTable, spellingsOf } from '../option-table.js'
import { version } from '../../src/version.js'
import type { Manual } from './manual.js'
import { manuals } from './manuals.js'
import { programManual } from './pages/program.js'
import {
  bold,
  formatEntry,
  formatInline,
  formatLiteral,
  formatParagraphs,
  formatSection,
  formatText,
  italic,
} from './roff.js'

/**
 * The pages of the manual, in the language of `man`(7), by their file names: `pbmanifest-verify.1`. Nothing of the program
 * needs them; they are made when the package is.
 *
 * @param date - for their foot: `2026-11-27`
 */
export function makeManPages(date: string): ReadonlyMap<string, string> {
  const pages = program.commands.map((command) => {
    const manual = manuals[command.name]
    if (manual === undefined) throw new Error(`the command "${command.name}" has no manual`)
    const name = `pbmanifest-${command.name}`
    return [`${name}.1`, formatPage(name, date, commandSections(command, manual))] as const
  })
  return new Map([['pbmanifest.1', formatPage('pbmanifest', date, programSections())], ...pages])
}

type Sections = readonly (readonly [heading: string, body: string])[]

function formatPage(name: string, date: string, sections: Sections): string {
  const head = `.\\" Made of the tables of pbmanifest's commands.
.TH ${name.toUpperCase().replaceAll('-', String.raw`\-`)} 1 ${date} "pbmanifest ${version}" "pbmanifest"
`
  return head + sections.map(([heading, body]) => formatSection(heading, body)).join('')
}

function commandSections(command: Command, manual: Manual): Sections {
  const { name, summary, synopsis, options, examples } = command
  const invocation = `${bold(`pbmanifest ${name}`)} ${formatInline(synopsis)}`
  return [
    ['NAME', `${formatInline(`pbmanifest-${name}`)} \\-\n${formatText(summary)}\n`],
    ['SYNOPSIS', `${invocation.trimEnd()}\n`],
    ['DESCRIPTION', formatParagraphs(manual.description)],
    ['OPTIONS', formatOptions(options, manual) + formatGeneralOptions(Object.keys(options).length > 0)],
    ['EXIT STATUS', formatExitStatus(manual, command.endsBySignal === true)],
    ...(manual.files === undefined ? [] : [['FILES', formatEntries(manual.files)] as const]),
    ['ENVIRONMENT', formatEntries([...(manual.environment ?? []), ...commonEnvironment])],
    ['EXAMPLES', formatExamples(name, examples)],
    ['SEE ALSO', formatReferences(manual.seeAlso)],
  ]
}

function programSections(): Sections {
  const { commands } = program
  const entries = commands.map(({ name, summary }) =>
    formatEntry(
      bold(name),
      `${formatText(asSentence(summary))}\nSee ${formatReference(`pbmanifest-${name}(1)`)}.\n`,
    ),
  )
  const pages = commands.map(({ name }) => `pbmanifest-${name}(1)`)
  return [
    ['NAME', `pbmanifest \\- backup manifests of PostgreSQL: backups taken, verified and proved\n`],
    [
      'SYNOPSIS',
      `${bold('pbmanifest')} ${italic('COMMAND')} [${italic('OPTION')}]... [${italic('ARGUMENT')}]...\n`,
    ],
    ['DESCRIPTION', formatParagraphs(programManual.description)],
    ['COMMANDS', entries.join('')],
    ['OPTIONS', formatGeneralOptions(false)],
    ['EXIT STATUS', formatExitStatus(programManual)],
    ['FILES', formatEntries(programManual.files ?? [])],
    ['ENVIRONMENT', formatEntries(commonEnvironment)],
    [
      'EXAMPLES',
      commands.map(({ name, examples }) => formatExamples(name, examples.slice(0, 1))).join('.PP\n'),
    ],
    ['SEE ALSO', formatReferences([...pages, ...programManual.seeAlso])],
  ]
}

/** Those of a group under its heading, each with the line of its help and what the manual adds to it. */
function formatOptions(options: OptionTable, manual: Manual): string {
  let text = ''
  let heading: string | undefined
  for (const [name, option] of Object.entries(options)) {
    if (option.group !== heading) text += `.SS "${(option.group ?? '').replace(/:$/, '')}"\n`
    heading = option.group
    const more = manual.options?.[name]
    const body = formatText(asSentence(option.describe)) + (more === undefined ? '' : `\n${formatText(more)}`)
    text += formatEntry(formatSpellings(name, option), `${body}\n`)
  }
  return text
}

function formatGeneralOptions(hasHeading: boolean): string {
  return (hasHeading ? '.SS "General"\n' : '') + formatOptions(program.generalOptions, programManual)
}

function formatSpellings(name: string, option: OptionTable[string]): string {
  const { letters, names } = spellingsOf(name, option)
  const value = option.type === 'boolean' ? undefined : italic(option.value)
  const isOptional = option.type === 'string' && option.valueWhenBare !== undefined
  const shortValue = value === undefined ? '' : ` ${value}`
  const longValue = value === undefined ? '' : isOptional ? `[=${value}]` : `=${value}`
  return [
    ...letters.map((letter) => bold(`-${letter}`) + shortValue),
    ...names.map((name) => bold(`--${name}`) + longValue),
  ].join(', ')
}

const commonStatuses = {
  badUsage: 'The command line makes no sense.',
  bug: 'A bug of pbmanifest; please report it, with what it said.',
} as const

const signalStatuses = {
  hungUp: 'Stopped by SIGHUP, after cleaning up.',
  interrupted: 'Stopped by SIGINT, after cleaning up.',
  terminated: 'Stopped by SIGTERM, after cleaning up.',
} as const

function formatExitStatus(manual: Manual, endsBySignal = false): string {
  const meanings: Readonly<Partial<Record<keyof typeof exitStatus, string>>> = {
    ...commonStatuses,
    ...(!endsBySignal && signalStatuses),
    ...manual.exitStatus,
  }
  return Object.entries(exitStatus)
    .flatMap(([key, status]) => {
      const meaning = meanings[key as keyof typeof exitStatus]
      return meaning === undefined ? [] : [formatEntry(String(status), `${formatText(meaning)}\n`)]
    })
    .join('')
}

const commonEnvironment = [
  ['PG_COLOR', "Whether messages are coloured: `always`, `auto` or `never`, as for PostgreSQL's programs."],
  ['NO_COLOR, FORCE_COLOR', 'The same for every program, where neither `--color` nor `PG_COLOR` says it.'],
  ['PBMANIFEST_DEBUG', 'When it is not empty, errors show their stack, as with `--debug`.'],
] as const

function formatEntries(entries: NonNullable<Manual['files']>): string {
  return entries.map(([name, what]) => formatEntry(bold(name), `${formatText(what)}\n`)).join('')
}

/** What is left of 80 columns behind the indentation, with that of {@link wrapCommand}. */
const EXAMPLE_COLUMNS = 71

function formatExamples(name: string, examples: Command['examples']): string {
  return examples
    .map(
      ([args, what], index) =>
        `${index === 0 ? '' : '.PP\n'}${formatText(asSentence(what))}\n${formatLiteral(
          wrapCommand(`$ pbmanifest ${name} ${args}`.trimEnd(), EXAMPLE_COLUMNS)
            .split('\n')
            .map((line) => line.slice(2)),
        )}`,
    )
    .join('')
}

function formatReferences(pages: readonly string[]): string {
  return `${pages.map(formatReference).join(', ')}\n`
}

function formatReference(page: string): string {
  const at = page.indexOf('(')
  return bold(page.slice(0, at)) + page.slice(at)
}

function asSentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
