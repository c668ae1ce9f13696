import type { Command, Program } from '../commands/command.js'
import { type CompletedOption, completedOptions, type Offer, offerOfOperands } from './completed-words.js'

/**
 * A script for bash 4 and later that needs nothing but bash. Names of files are left to readline, which knows how they are
 * quoted: `compopt` says whether it is to complete files, directories or nothing.
 */
export function formatBashCompletion(program: Program): string {
  const { commands } = program
  const first = [...commands.map(({ name }) => name), ...longNames(completedOptions(program, undefined))]
  return `# bash completion for pbmanifest, made by "pbmanifest completion bash"

_pbmanifest_words() {
  compopt +o default
  COMPREPLY=($(compgen -W "$1" -- "$2"))
  if [[ \${#COMPREPLY[@]} -eq 1 && $COMPREPLY == *= ]]; then compopt -o nospace; fi
}

_pbmanifest() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} given='' options='' at
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _pbmanifest_words '${first.join(' ')}' "$current"
    return
  fi
  # bash takes --name=value for three words.
  if [[ $current == = ]]; then
    given=$previous= current=
  elif [[ $previous == = ]]; then
    given=\${COMP_WORDS[COMP_CWORD-2]}=
  elif [[ $previous == --?* ]]; then
    given=$previous
  elif [[ $previous == -?* ]]; then
    given=-\${previous: -1}
  fi
  for ((at = 2; at < COMP_CWORD; at++)); do
    if [[ \${COMP_WORDS[at]} == -- ]]; then given='' options=none; fi
  done
  case "\${COMP_WORDS[1]} $given" in
${commands.flatMap((command) => formatValues(program, command)).join('\n')}
  esac
  if [[ -z $options && $current == -* ]]; then
    case "\${COMP_WORDS[1]}" in
${commands.map((command) => formatOptions(program, command)).join('\n')}
    esac
  fi
  case "\${COMP_WORDS[1]}" in
${commands.map((command) => `    ${command.name}) ${formatOffer(offerOfOperands(command, program))} ;;`).join('\n')}
  esac
}

complete -o default -F _pbmanifest pbmanifest
`
}

function longNames(options: readonly CompletedOption[]): string[] {
  return options.flatMap(({ names, value }) =>
    names.map((name) => (value === undefined || value.isOptional ? `--${name}` : `--${name}=`)),
  )
}

/** A case for each option with a value, at whose value we are. */
function formatValues(program: Program, command: Command): string[] {
  return completedOptions(program, command).flatMap(({ letters, names, value }) => {
    if (value === undefined) return []
    const spelled = [
      ...(value.isOptional
        ? []
        : [...letters.map((letter) => `-${letter}`), ...names.map((name) => `--${name}`)]),
      ...names.map((name) => `--${name}=`),
    ]
    const patterns = spelled.map((spelling) => `'${command.name} ${spelling}'`)
    return [`    ${patterns.join(' | ')}) ${formatOffer(value.offer)}; return ;;`]
  })
}

function formatOptions(program: Program, command: Command): string {
  const names = longNames(completedOptions(program, command))
  return `      ${command.name}) _pbmanifest_words '${names.join(' ')}' "$current"; return ;;`
}

function formatOffer(offer: Offer): string {
  switch (offer.kind) {
    case 'words':
      return `_pbmanifest_words '${offer.words.join(' ')}' "$current"`
    case 'directory':
      return 'compopt +o default -o dirnames'
    case 'file':
      return 'compopt -o default'
    case 'nothing':
      return 'compopt +o default'
    default:
      return offer satisfies never
  }
}
