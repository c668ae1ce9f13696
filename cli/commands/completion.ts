import { exitStatus } from '../exit-status.js'
import { readOnlyOperand } from '../operands.js'
import { usageError } from '../usage-error.js'
import { type Command, defineCommand, type Program } from './command.js'

const shells = ['bash', 'zsh', 'fish'] as const

export const completionCommand: Command = defineCommand({
  name: 'completion',
  summary: 'print a script that has a shell complete command lines',
  synopsis: 'bash|zsh|fish',
  operands: shells,
  options: {},
  examples: [
    ['bash > /etc/bash_completion.d/pbmanifest', 'bash, for all users'],
    ['zsh > /usr/local/share/zsh/site-functions/_pbmanifest', 'zsh'],
    ['fish > ~/.config/fish/completions/pbmanifest.fish', 'fish'],
  ],
  run: async ({ print, program }, _options, operands) => {
    const name = readOnlyOperand(operands, 'shell')
    const shell = shells.find((shell) => shell === name)
    if (shell === undefined) {
      throw usageError(`invalid shell "${name}"`, `It must be one of: ${shells.join(', ')}.`)
    }
    const format = await loadFormat(shell)
    print(format(program).trimEnd())
    return exitStatus.done
  },
})

async function loadFormat(shell: (typeof shells)[number]): Promise<(program: Program) => string> {
  switch (shell) {
    case 'bash':
      return (await import('../completion/bash.js')).formatBashCompletion
    case 'zsh':
      return (await import('../completion/zsh.js')).formatZshCompletion
    case 'fish':
      return (await import('../completion/fish.js')).formatFishCompletion
    default:
      return shell satisfies never
  }
}
