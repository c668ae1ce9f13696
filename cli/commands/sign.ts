import { displayPathname } from '../../src/files/pathname.js'
import { exitStatus } from '../exit-status.js'
import { readOnlyOperand } from '../operands.js'
import { usageError } from '../usage-error.js'
import { withoutUndefined } from '../without-undefined.js'
import { type Command, defineCommand, type OptionValues } from './command.js'

const options = {
  'Key:': {
    key: {
      alias: 'f',
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'private Ed25519 key, or public half of a key that an ssh-agent has (required)',
    },
  },
  'Output:': {
    signature: {
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'where the signature goes (default: DIRECTORY.sig, or FILE.sig)',
    },
    quiet: { alias: 'q', type: 'boolean', describe: 'print nothing but errors' },
  },
} as const

type Values = OptionValues<typeof options>

function requireKey({ key }: Values): string {
  if (key === undefined) throw usageError('no key specified', 'Say with -f, --key=FILE by which key to sign.')
  return key
}

export const signCommand: Command = defineCommand({
  name: 'sign',
  summary: 'sign the backup_manifest of a backup, or a report, with an SSH key',
  synopsis: '-f KEY [OPTION]... DIRECTORY|FILE',
  operands: 'path',
  options,
  examples: [
    ['-f ~/.ssh/id_ed25519 BACKUP', 'into BACKUP.sig, beside the directory'],
    ['-f ~/.ssh/id_ed25519.pub BACKUP', 'by an ssh-agent'],
    ['-f KEY report.json', 'a report of verify or backup, into report.json.sig'],
  ],
  run: async ({ print, env, signal }, values, operands) => {
    const path = readOnlyOperand(operands, 'backup directory or file')
    const key = requireKey(values)
    const { signFile } = await import('../../src/signature/sign-file.js')
    const result = await signFile(path, {
      key,
      signal,
      ...withoutUndefined({ signaturePath: values.signature, agentSocket: env['SSH_AUTH_SOCK'] }),
    })
    if (values.quiet !== true) {
      const { keyType, fingerprint, signaturePath } = result
      const shown = displayPathname(result.path)
      print(`signed "${shown}" with key ${keyType} ${fingerprint}, into "${displayPathname(signaturePath)}"`)
    }
    return exitStatus.done
  },
})
