import type { Command, Program } from '../commands/command.js'
import { type CompletedOption, completedOptions, type Offer, offerOfOperands } from './completed-words.js'

/** A function for zsh's completion system, to be autoloaded from a directory of `$fpath`, or sourced. */
export function formatZshCompletion(program: Program): string {
  const { commands } = program
  return `#compdef pbmanifest
# zsh completion for pbmanifest, made by "pbmanifest completion zsh"

_pbmanifest() {
  local curcontext=$curcontext
  local -a commands=(
${commands.map(({ name, summary }) => `    ${quote(`${name}:${summary.replaceAll(':', '\\:')}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    if [[ $words[2] == -* ]]; then
      _arguments ${quoteAll(completedOptions(program, undefined).flatMap(formatSpecs))}
    else
      _describe -t commands command commands
    fi
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map((command) => formatCommand(program, command)).join('\n')}
  esac
}

if [[ $funcstack[1] == _pbmanifest ]]; then
  _pbmanifest "$@"
else
  compdef _pbmanifest pbmanifest
fi
`
}

function formatCommand(program: Program, command: Command): string {
  const specs = completedOptions(program, command).flatMap(formatSpecs)
  const operands = formatOffer(offerOfOperands(command, program))
  return `    ${command.name}) _arguments -s -S ${quoteAll([...specs, `*:${escape(command.synopsis.split(' ').at(-1) || 'argument')}:${operands}`])} ;;`
}

/** The specifications of \`_arguments\`, one for each spelling. */
function formatSpecs({ letters, names, describe, isRepeatable, value }: CompletedOption): string[] {
  const spellings = [...letters.map((letter) => `-${letter}`), ...names.map((name) => `--${name}`)]
  const prefix = isRepeatable ? '*' : `(${spellings.join(' ')})`
  return spellings.map((spelling) => {
    const isLong = spelling.startsWith('--')
    const text = `${prefix}${spelling}`
    if (value === undefined) return `${text}[${escape(describe)}]`
    const mark = isLong ? (value.isOptional ? '=-' : '=') : '+'
    const colons = value.isOptional ? '::' : ':'
    return `${text}${mark}[${escape(describe)}]${colons}${escape(value.name)}:${formatOffer(value.offer)}`
  })
}

function formatOffer(offer: Offer): string {
  switch (offer.kind) {
    case 'words':
      return `(${offer.words.join(' ')})`
    case 'directory':
      return '_files -/'
    case 'file':
      return '_files'
    case 'nothing':
      return ' '
    default:
      return offer satisfies never
  }
}

function escape(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, '\\$&')
}

function quoteAll(texts: readonly string[]): string {
  return texts.map((text) => `\\\n      ${quote(text)}`).join(' ')
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
