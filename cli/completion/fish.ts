import type { Command, Program } from '../commands/command.js'
import { type CompletedOption, completedOptions, type Offer, offerOfOperands } from './completed-words.js'

const DIRECTORIES = '(__fish_complete_directories (commandline -ct))'

/** A script for fish 3 and later. */
export function formatFishCompletion(program: Program): string {
  const { commands } = program
  return `# fish completion for pbmanifest, made by "pbmanifest completion fish"

# Whether this is the command, which comes first.
function __pbmanifest_command
    set -l words (commandline -opc)
    test "$words[2]" = "$argv[1]"
end

# Whether an operand of it is typed, and not the value of an option.
function __pbmanifest_operand
    __pbmanifest_command $argv[1]; and not string match -q -- '-*' (commandline -ct)
end

complete -c pbmanifest -f
${commands.map(({ name, summary }) => formatLine('', `-a ${name} -d ${quote(summary)}`)).join('\n')}
${completedOptions(program, undefined)
  .map((option) => formatOption('', option))
  .join('\n')}
${commands.flatMap((command) => formatCommand(program, command)).join('\n')}
`
}

function formatCommand(program: Program, command: Command): string[] {
  const { name } = command
  const options = completedOptions(program, command).map((option) => formatOption(name, option))
  const operands = formatOffer(offerOfOperands(command, program))
  return [...options, ...(operands === '' ? [] : [formatLine(name, operands, 'operand')])]
}

function formatOption(command: string, { letters, names, describe, value }: CompletedOption): string {
  const spelled = [...letters.map((letter) => `-s ${quote(letter)}`), ...names.map((name) => `-l ${name}`)]
  const offer =
    value === undefined ? [] : [...(value.isOptional ? [] : ['-r']), formatOffer(value.offer) || '-f']
  return formatLine(command, [...spelled, ...offer, `-d ${quote(describe)}`].join(' '))
}

function formatLine(command: string, rest: string, where: 'command' | 'operand' = 'command'): string {
  return `complete -c pbmanifest -n ${quote(`__pbmanifest_${where} ${command || "''"}`)} ${rest}`
}

function formatOffer(offer: Offer): string {
  switch (offer.kind) {
    case 'words':
      return `-f -a ${quote(offer.words.join(' '))}`
    case 'directory':
      return `-f -a ${quote(DIRECTORIES)}`
    case 'file':
      return '-F'
    case 'nothing':
      return ''
    default:
      return offer satisfies never
  }
}

function quote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`
}
