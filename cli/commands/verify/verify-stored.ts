import { isStoreAddress } from '../../../src/source/store/store-address.js'
import type { VerifyOptions } from '../../../src/verify/options.js'
import type { VerifyReport } from '../../../src/verify/report.js'
import { readStoreOptions } from '../../store-options.js'
import { usageError } from '../../usage-error.js'
import type { CommandContext } from '../command.js'
import type { VerifyValues } from './verify-options.js'

/** Whether what is to be verified lies in an object store. */
export function namesStore(operands: readonly string[]): boolean {
  return operands.some(isStoreAddress)
}

/** @throws {@link PbManifestError} `USAGE` for what cannot be beside an address */
export function refuseBesideStore(values: VerifyValues, operands: readonly string[]): void {
  if (operands.length > 1) {
    throw usageError(
      'cannot verify several backups when one of them is in an object store',
      'Verify each by itself.',
    )
  }
  const refused = ['archive', 'state', 'chain', 'fetch-command', 'fetch-timeout'] as const
  const other = refused.find((name) => values[name] !== undefined)
  if (other !== undefined) throw usageError(`--${other} is not for a backup in an object store`)
  if (values.checksums !== 'stored') return
  if (values['skip-checksums'] === true)
    throw usageError('cannot specify both --checksums=stored and -s/--skip-checksums')
  if (values['page-checksums'] === 'on') {
    throw usageError(
      'cannot specify both --checksums=stored and --page-checksums=on',
      'Page checksums are in the files, which are not read then.',
    )
  }
}

/** Verifies a backup in an object store. */
export async function verifyStored(
  address: string,
  values: VerifyValues,
  options: VerifyOptions,
  { env, messages }: Pick<CommandContext, 'env' | 'messages'>,
): Promise<VerifyReport> {
  const { verifyStoredBackup } = await import('../../../src/verify/verify-stored-backup.js')
  const { checksums } = values
  return await verifyStoredBackup(address, {
    ...options,
    store: readStoreOptions(values, env),
    ...(values.verbose === true && { onRetry: (words) => messages.note(words) }),
    ...((checksums === 'read' || checksums === 'stored') && { checksums }),
  })
}
