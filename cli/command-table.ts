import { colorChoices } from './color.js'
import { backupCommand } from './commands/backup/backup.js'
import { backupIdCommand } from './commands/backup-id.js'
import { combineCommand } from './commands/combine/combine.js'
import type { Program } from './commands/command.js'
import { completionCommand } from './commands/completion.js'
import { createCommand } from './commands/create.js'
import { drillCommand } from './commands/drill.js'
import { fleetCommand } from './commands/fleet/fleet.js'
import { fragmentCommand } from './commands/fragment/fragment.js'
import { helpCommand } from './commands/help.js'
import { diffCommand } from './commands/inspect/diff.js'
import { lsCommand } from './commands/inspect/ls.js'
import { showCommand } from './commands/inspect/show.js'
import { mergeCommand } from './commands/merge.js'
import { mergeReportsCommand } from './commands/merge-reports.js'
import { repairCommand } from './commands/repair/repair.js'
import { restoreCommand } from './commands/restore.js'
import { serveCommand } from './commands/serve/serve.js'
import { signCommand } from './commands/sign.js'
import { statusCommand } from './commands/status/status.js'
import { verifyCommand } from './commands/verify/verify.js'
import type { OptionTable } from './option-table.js'

/** The options that every command has. */
const generalOptions = {
  color: {
    choices: colorChoices,
    type: 'string',
    value: 'auto|always|never',
    describe: 'colour in messages',
  },
  debug: { type: 'boolean', describe: 'show the stack of an error' },
  version: { alias: 'V', type: 'boolean', describe: 'output version information, then exit' },
  help: { alias: '?', type: 'boolean', describe: 'show this help, then exit' },
} as const satisfies OptionTable

export const program: Program = {
  commands: [
    verifyCommand,
    mergeReportsCommand,
    fleetCommand,
    statusCommand,
    backupCommand,
    combineCommand,
    repairCommand,
    restoreCommand,
    drillCommand,
    signCommand,
    showCommand,
    lsCommand,
    diffCommand,
    serveCommand,
    createCommand,
    mergeCommand,
    fragmentCommand,
    backupIdCommand,
    helpCommand,
    completionCommand,
  ],
  generalOptions,
}
