import type { Command, Program } from '../commands/command.js'
import { type OptionDescription, spellingsOf, type ValueKind } from '../option-table.js'

/** What a shell offers in one place: words, what lies on the disk, or nothing, because nobody but the user knows. */
export type Offer =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'file' | 'directory' | 'nothing' }

/** An option, as a shell completes it. */
export interface CompletedOption {
  readonly letters: readonly string[]
  readonly names: readonly string[]
  readonly describe: string
  readonly isRepeatable: boolean
  /** `undefined` for a flag. */
  readonly value: { readonly name: string; readonly isOptional: boolean; readonly offer: Offer } | undefined
}

/** The options of a command, or of the program, in the order of the help. */
export function completedOptions(program: Program, command: Command | undefined): CompletedOption[] {
  const table = { ...command?.options, ...program.generalOptions }
  return Object.entries(table).map(([name, option]) => ({
    ...spellingsOf(name, option),
    describe: option.describe,
    isRepeatable: option.type === 'string' && option.array === true,
    value: option.type === 'boolean' ? undefined : valueOf(option),
  }))
}

function valueOf(option: Exclude<OptionDescription, { type: 'boolean' }>): CompletedOption['value'] {
  const name = option.value
  const isOptional = option.valueWhenBare !== undefined
  if ('choices' in option) return { name, isOptional, offer: { kind: 'words', words: option.choices } }
  const { suggestions, kind } = option
  return {
    name,
    isOptional,
    offer: suggestions === undefined ? offerOf(kind) : { kind: 'words', words: suggestions },
  }
}

/** What is offered in the place of a command's operands. */
export function offerOfOperands({ operands }: Command, { commands }: Program): Offer {
  if (operands === 'command') return { kind: 'words', words: commands.map(({ name }) => name) }
  if (operands === 'none') return { kind: 'nothing' }
  return typeof operands === 'string' ? offerOf(operands) : { kind: 'words', words: operands }
}

function offerOf(kind: ValueKind): Offer {
  switch (kind) {
    case 'directory':
      return { kind: 'directory' }
    // Shells offer directories beside files: files lie in them.
    case 'file':
    case 'path':
      return { kind: 'file' }
    case 'number':
    case 'text':
      return { kind: 'nothing' }
    default:
      return kind satisfies never
  }
}
