import { colorChoices } from './color.js'
import { backupCommand } from './commands/backup/backup.js'
import { backupIdCommand } from './commands/backup-id.js'
import type { Command } from './commands/command.js'
import { fragmentCommand } from './commands/fragment/fragment.js'
import { mergeCommand } from './commands/merge.js'
import { serveCommand } from './commands/serve/serve.js'
import { signCommand } from './commands/sign.js'
import { verifyCommand } from './commands/verify/verify.js'
import type { OptionTable } from './read-arguments.js'

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [
  verifyCommand,
  backupCommand,
  signCommand,
  serveCommand,
  mergeCommand,
  fragmentCommand,
  backupIdCommand,
]

/** The group of the options that every command has. */
export const generalGroup: string = 'General:'

export const generalOptions: OptionTable = {
  color: { choices: colorChoices, type: 'string', group: generalGroup, describe: 'colour in messages' },
  debug: { type: 'boolean', group: generalGroup, describe: 'show the stack of an error' },
}

/** Those that are answered with a text. */
export const answeredOptions: OptionTable = {
  version: { alias: 'V', type: 'boolean' },
  help: { alias: '?', type: 'boolean' },
}
