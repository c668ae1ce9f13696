import { exitStatus } from '../exit-status.js'
import { closestName } from '../closest-name.js'
import { usageError, withSuggestion } from '../usage-error.js'
import { type Command, defineCommand, type Program } from './command.js'

export const helpCommand: Command = defineCommand({
  name: 'help',
  summary: 'show the help of a command',
  synopsis: '[COMMAND]',
  operands: 'command',
  options: {},
  examples: [['verify', 'as "pbmanifest verify --help"']],
  run: async ({ print, program }, _options, [name, second]) => {
    if (second !== undefined) throw usageError(`too many command-line arguments (first is "${second}")`)
    const command = name === undefined ? undefined : findCommand(name, program)
    const { formatHelp } = await import('../help.js')
    print(await formatHelp(program, command))
    return exitStatus.done
  },
})

/** @throws {@link PbManifestError} `USAGE`, with the command that was probably meant */
export function findCommand(name: string, { commands }: Program): Command {
  const command = commands.find((command) => command.name === name)
  if (command !== undefined) return command
  const closest = closestName(
    name,
    commands.map(({ name }) => name),
  )
  throw withSuggestion(`unrecognized command "${name}"`, closest && `the command "${closest}"`)
}
