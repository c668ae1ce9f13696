import type { Options } from 'yargs'
import { usageError } from './usage-error.js'

/** An option, as yargs describes it. */
interface OptionDescription extends Options {
  /** Given without a value, it has this one; a value then has to follow an equals sign. */
  readonly valueWhenBare?: string
}

/** Options by their long name. */
export type OptionTable = Readonly<Record<string, OptionDescription>>

/** A command line, read. */
export interface ReadArguments {
  /** By long name: `true` for a flag, a list for what may be repeated. */
  readonly options: Readonly<Record<string, true | string | readonly string[]>>
  readonly operands: readonly string[]
}

/**
 * Reads arguments as PostgreSQL's programs do theirs, which is getopt_long's way, with its messages.
 *
 * yargs, which writes help and completion, reads otherwise: it takes `-iPATH` for five options, `-m -x` for two, and
 * makes a list of an option that is given twice. Loading it takes longer than everything else before the work begins.
 *
 * @throws {@link PbManifestError} `USAGE`
 */
export function readArguments(args: readonly string[], table: OptionTable): ReadArguments {
  const options: Record<string, true | string | string[]> = {}
  const operands: string[] = []
  const rest = [...args]

  const take: Take = (name, value) => {
    const earlier = options[name]
    if (value === undefined) options[name] = true
    else if (table[name]?.array !== true) options[name] = value
    else options[name] = Array.isArray(earlier) ? [...earlier, value] : [value]
  }

  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--') {
      operands.push(...rest.splice(0))
    } else if (arg.startsWith('--')) {
      readLongOption(arg, rest, table, take)
    } else if (arg.startsWith('-') && arg !== '-') {
      readShortOptions(arg, rest, table, take)
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
    if (typeof option.default === 'string') defaults[name] = option.default
  }
  return defaults
}

type Take = (name: string, value?: string) => void

function readLongOption(arg: string, rest: string[], options: OptionTable, take: Take): void {
  const equals = arg.indexOf('=')
  const spelled = equals === -1 ? arg : arg.slice(0, equals)
  const name = findOption(spelled.slice(2), options)
  if (name === undefined || spelled.length === 3) throw usageError(`unrecognized option '${spelled}'`)
  const inline = equals === -1 ? undefined : arg.slice(equals + 1)
  if (isFlag(name, options)) {
    if (inline !== undefined) throw usageError(`option '${spelled}' doesn't allow an argument`)
    return take(name)
  }
  const value = inline ?? options[name]?.valueWhenBare ?? rest.shift()
  if (value === undefined) throw usageError(`option '${spelled}' requires an argument`)
  take(name, checkValue(spelled, value, options[name]))
}

// A cluster of letters, of which the last may have a value: `-esq`, `-em FILE`, `-emFILE`, `-em=FILE`.
function readShortOptions(arg: string, rest: string[], options: OptionTable, take: Take): void {
  for (let at = 1; at < arg.length; at++) {
    const letter = arg.charAt(at)
    const name = findOption(letter, options)
    if (name === undefined) throw usageError(`invalid option -- '${letter}'`)
    if (isFlag(name, options)) {
      take(name)
      continue
    }
    const inline = arg.slice(at + 1).replace(/^=/, '')
    const value = at + 1 < arg.length ? inline : rest.shift()
    if (value === undefined) throw usageError(`option requires an argument -- '${letter}'`)
    return take(name, checkValue(`-${letter}`, value, options[name]))
  }
}

function findOption(spelling: string, options: OptionTable): string | undefined {
  return Object.keys(options).find(
    (name) => name === spelling || [options[name]?.alias].flat().includes(spelling),
  )
}

function isFlag(name: string, options: OptionTable): boolean {
  return options[name]?.type === 'boolean'
}

// An empty value is nearly always a shell variable that is not set, and as a path it would mean the current directory.
function checkValue(spelled: string, value: string, option: Options | undefined): string {
  const choices = option?.choices
  if (value === '' || (choices !== undefined && !choices.includes(value))) {
    const expected =
      choices === undefined ? 'It must not be empty.' : `It must be one of: ${choices.join(', ')}.`
    throw usageError(`invalid value "${value}" for option ${spelled}`, expected)
  }
  return value
}
