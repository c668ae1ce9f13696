import type { Options } from 'yargs'

/**
 * What the value of an option, or an operand, is; the shell completes it accordingly. A `path` is a file or a directory,
 * a `text` nothing that a shell could know.
 */
export type ValueKind = 'file' | 'directory' | 'path' | 'number' | 'text'

interface CommonDescription extends Pick<Options, 'group'> {
  /** A letter, or another long name. */
  readonly alias?: string | readonly string[]
  /** One line for the help. The manual says the rest. */
  readonly describe: string
}

interface FlagDescription extends CommonDescription {
  readonly type: 'boolean'
}

interface ValuedDescription extends CommonDescription {
  readonly type: 'string'
  /** What the help calls the value: `N`, `DIRECTORY`, `fast|spread`. */
  readonly value: string
  readonly default?: string
  /** It may be given several times. */
  readonly array?: true
  /** Given without a value, it has this one; a value then has to follow an equals sign. */
  readonly valueWhenBare?: string
}

/** A value of a kind. */
interface FreeDescription extends ValuedDescription {
  readonly kind: ValueKind
  /** Values that completion offers, where others are right, too, or are refused in words of their own. */
  readonly suggestions?: readonly string[]
}

/** One of a few words; others are refused. */
interface ChoiceDescription extends ValuedDescription {
  readonly choices: readonly string[]
}

/** An option: what parser, help, manual and completion know of it. */
export type OptionDescription = FlagDescription | FreeDescription | ChoiceDescription

/** Options by their long name. */
export type OptionTable = Readonly<Record<string, OptionDescription>>

/** How an option can be spelled, without the dashes: `{ letters: ['w'], names: ['wal-path', 'wal-directory'] }`. */
export function spellingsOf(
  name: string,
  { alias = [] }: OptionDescription,
): { readonly letters: readonly string[]; readonly names: readonly string[] } {
  const all = [name, ...(typeof alias === 'string' ? [alias] : alias)]
  return {
    letters: all.filter((spelling) => spelling.length === 1),
    names: all.filter((spelling) => spelling.length > 1),
  }
}

/** The name of the option with this letter. */
export function findLetter(letter: string, table: OptionTable): string | undefined {
  return Object.keys(table).find((name) => describes(table, name).letters.includes(letter))
}

/**
 * The names of the options that a long spelling may mean, as getopt_long has it: an exact spelling means one, the
 * beginning of several means all of them.
 *
 * @returns each spelling that fits, by the name of its option
 */
export function findLongOptions(
  spelling: string,
  table: OptionTable,
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  if (spelling === '') return found
  for (const name of Object.keys(table)) {
    const { names } = describes(table, name)
    if (names.includes(spelling)) return new Map([[name, [spelling]]])
    const fitting = names.filter((candidate) => candidate.startsWith(spelling))
    if (fitting.length > 0) found.set(name, fitting)
  }
  return found
}

function describes(table: OptionTable, name: string): ReturnType<typeof spellingsOf> {
  const option = table[name]
  return option === undefined ? { letters: [], names: [] } : spellingsOf(name, option)
}
