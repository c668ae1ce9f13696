import { closestName } from './closest-name.js'
import {
  findLetter,
  findLongOptions,
  type OptionDescription,
  type OptionTable,
  spellingsOf,
} from './option-table.js'
import { usageError, withSuggestion } from './usage-error.js'

/** A command line, read. */
export interface ReadArguments {
  /** By long name: `true` for a flag, a list for what may be repeated. */
  readonly options: Readonly<Record<string, true | string | readonly string[]>>
  readonly operands: readonly string[]
}

/**
 * Reads arguments as PostgreSQL's programs do theirs, which is getopt_long's way, with its messages.
 *
 * yargs, which writes the help, reads otherwise: it takes `-iPATH` for five options, `-m -x` for two, and
 * makes a list of an option that is given twice. Loading it takes longer than everything else before the work begins.
 *
 * @param refused - what to do instead of options that are not in the table, by their spellings: `-x`, `--xlog`
 * @throws {@link PbManifestError} `USAGE`
 */
export function readArguments(
  args: readonly string[],
  table: OptionTable,
  refused: Readonly<Record<string, string>> = {},
): ReadArguments {
  const options: Record<string, true | string | string[]> = {}
  const operands: string[] = []
  const rest = [...args]
  const known = { table, refused }

  const take: Take = (name, value) => {
    const earlier = options[name]
    const option = table[name]
    if (value === undefined) options[name] = true
    else if (option?.type !== 'string' || option.array !== true) options[name] = value
    else options[name] = Array.isArray(earlier) ? [...earlier, value] : [value]
  }

  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--') {
      operands.push(...rest.splice(0))
    } else if (arg.startsWith('--')) {
      readLongOption(arg, rest, known, take)
    } else if (arg.startsWith('-') && arg !== '-') {
      readShortOptions(arg, rest, known, take)
    } else {
      operands.push(arg)
    }
  }
  if (operands.includes('')) throw usageError('empty command-line argument')
  return { options: { ...defaultsOf(table), ...options }, operands }
}

function defaultsOf(table: OptionTable): Record<string, string> {
  const defaults: Record<string, string> = {}
  for (const [name, option] of Object.entries(table)) {
    if (option.type === 'string' && option.default !== undefined) defaults[name] = option.default
  }
  return defaults
}

type Take = (name: string, value?: string) => void

interface KnownOptions {
  readonly table: OptionTable
  readonly refused: Readonly<Record<string, string>>
}

function readLongOption(arg: string, rest: string[], known: KnownOptions, take: Take): void {
  const equals = arg.indexOf('=')
  const typed = equals === -1 ? arg : arg.slice(0, equals)
  const { name, option, spelled } = resolveLongOption(typed, arg, known)
  const inline = equals === -1 ? undefined : arg.slice(equals + 1)
  if (option.type === 'boolean') {
    if (inline !== undefined) throw usageError(`option '${spelled}' doesn't allow an argument`)
    return take(name)
  }
  const value = inline ?? option.valueWhenBare ?? rest.shift()
  if (value === undefined) throw usageError(`option '${spelled}' requires an argument`)
  take(name, checkValue(spelled, value, option))
}

/** An option may be abbreviated as long as it is clear which one is meant. */
function resolveLongOption(
  typed: string,
  arg: string,
  { table, refused }: KnownOptions,
): { readonly name: string; readonly option: OptionDescription; readonly spelled: string } {
  const found = findLongOptions(typed.slice(2), table)
  const [first, second] = found
  if (second !== undefined) {
    const possibilities = [...found.values()].flat().map((spelling) => `'--${spelling}'`)
    throw usageError(`option '${arg}' is ambiguous; possibilities: ${possibilities.join(' ')}`)
  }
  const option = first === undefined ? undefined : table[first[0]]
  if (first === undefined || option === undefined) {
    refuse(typed, refused)
    const names = Object.entries(table).flatMap(([name, option]) => spellingsOf(name, option).names)
    const closest = closestName(typed.slice(2), names)
    throw withSuggestion(`unrecognized option '${typed}'`, closest && `the option "--${closest}"`)
  }
  return { name: first[0], option, spelled: `--${first[1][0] ?? first[0]}` }
}

// A cluster of letters, of which the last may have a value: `-esq`, `-em FILE`, `-emFILE`, `-em=FILE`.
function readShortOptions(arg: string, rest: string[], { table, refused }: KnownOptions, take: Take): void {
  for (let at = 1; at < arg.length; at++) {
    const letter = arg.charAt(at)
    const name = findLetter(letter, table)
    const option = name === undefined ? undefined : table[name]
    if (name === undefined || option === undefined) {
      refuse(`-${letter}`, refused)
      throw usageError(`invalid option -- '${letter}'`)
    }
    if (option.type === 'boolean') {
      take(name)
      continue
    }
    const inline = arg.slice(at + 1).replace(/^=/, '')
    const value = at + 1 < arg.length ? inline : rest.shift()
    if (value === undefined) throw usageError(`option requires an argument -- '${letter}'`)
    return take(name, checkValue(`-${letter}`, value, option))
  }
}

function refuse(spelling: string, refused: KnownOptions['refused']): void {
  const instead = Object.hasOwn(refused, spelling) ? refused[spelling] : undefined
  if (instead !== undefined) throw usageError(`option ${spelling} is not supported`, instead)
}

// An empty value is nearly always a shell variable that is not set, and as a path it would mean the current directory.
function checkValue(spelled: string, value: string, option: OptionDescription): string {
  const choices = 'choices' in option ? option.choices : undefined
  if (value === '' || (choices !== undefined && !choices.includes(value))) {
    const expected =
      choices === undefined ? 'It must not be empty.' : `It must be one of: ${choices.join(', ')}.`
    throw usageError(`invalid value "${value}" for option ${spelled}`, expected)
  }
  return value
}
