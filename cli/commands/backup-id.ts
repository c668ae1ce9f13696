import { exitStatus } from '../exit-status.js'
import { refuseOperands } from '../operands.js'
import { type Command, defineCommand } from './command.js'

export const backupIdCommand: Command = defineCommand({
  name: 'backup-id',
  summary: 'make an id for a new backup',
  synopsis: '',
  operands: 'none',
  options: {},
  examples: [['', '32 hexadecimal digits, for --backup-id of every worker']],
  run: async ({ print }, _options, operands) => {
    refuseOperands(operands)
    const { createBackupId } = await import('../../src/manifest/fragment/backup-id.js')
    print(createBackupId())
    return exitStatus.done
  },
})
