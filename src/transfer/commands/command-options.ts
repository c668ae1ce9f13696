import type { CommandTokens, Token } from './command-tokens.js'

/** How each option of a command is read once its keyword was taken. */
export type OptionReaders<Options> = {
  readonly [Name in keyof Options & string]-?: (tokens: CommandTokens, keyword: Token) => Options[Name]
}

/**
 * Reads options up to the end of the command: in any order, each at most once, as a server's own grammar has them.
 *
 * @throws {@link CommandSyntaxError}
 */
export function readOptions<Options extends object>(
  tokens: CommandTokens,
  readers: OptionReaders<Options>,
): Partial<Options> {
  const options: Partial<Options> = {}
  while (tokens.next.type === 'word') {
    const name = tokens.next.word
    if (!isOption(name, readers)) throw tokens.unexpected(describeOptions(readers))
    const keyword = tokens.take()
    if (name in options) throw tokens.error(`duplicate option "${name.toLowerCase()}"`, keyword)
    options[name] = readers[name](tokens, keyword)
  }
  return options
}

function isOption<Options>(name: string, readers: OptionReaders<Options>): name is keyof Options & string {
  return Object.hasOwn(readers, name)
}

function describeOptions(readers: object): string | undefined {
  const names = Object.keys(readers)
  return names.length === 0 ? undefined : `The options are ${names.join(', ')}.`
}
