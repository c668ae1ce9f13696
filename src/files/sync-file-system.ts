import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { PbManifestError } from '../errors.js'

const run = promisify(execFile)

/** All that a {@link SyncMethod} can be. */
export const syncMethods = ['fsync', 'syncfs'] as const

/** How a backup is made durable: file by file, or by having Linux write out all of the file systems that it is on. */
export type SyncMethod = (typeof syncMethods)[number]

/**
 * Has Linux write out all of the file system that a directory is on. Node has no syncfs(2): `sync` of coreutils or BusyBox
 * calls it. What the system could not write since it was synced last is an error.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function syncFileSystem(directory: string): Promise<void> {
  try {
    await run('sync', ['-f', '--', directory], { env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } })
  } catch (error) {
    const { stderr = '', message } = error as Error & { readonly stderr?: string }
    const reason = stderr.trim().split('\n').at(-1) || message
    throw new PbManifestError('IO', `could not synchronize file system for file "${directory}": ${reason}`, {
      cause: error,
    })
  }
}
