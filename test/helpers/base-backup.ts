import type { Cluster } from './cluster.js'
import { backupLayout, type PlainBackup, readPlainBackup } from './plain-backup.js'
import { mustRun } from './run-program.js'
import { tablespaceMappings } from './tablespace-mappings.js'

export interface PgBaseBackupOptions {
  /** Names the folder of the backup; once per cluster. */
  readonly name: string
  /** Further options of pg_basebackup. */
  readonly args?: readonly string[]
}

/** Takes a backup in plain format with the cluster's own pg_basebackup, into the cluster's scratch directory. */
export async function pgBaseBackup(cluster: Cluster, options: PgBaseBackupOptions): Promise<PlainBackup> {
  const { file, args, root } = await pgBaseBackupCommand(cluster, options)
  await mustRun(file, args, { user: cluster.user, env: cluster.environment() })
  return readPlainBackup(root)
}

/** The command that {@link pgBaseBackup} runs, for those who run it in their own way. */
export async function pgBaseBackupCommand(
  cluster: Cluster,
  options: PgBaseBackupOptions,
): Promise<{ file: string; args: readonly string[]; root: string }> {
  const file = cluster.programs.path('pg_basebackup')
  if (file === undefined) throw new Error(`no pg_basebackup in "${cluster.programs.bin}"`)
  const root = await cluster.makeDirectory('backups', options.name)
  const { directory, tablespacesDirectory } = backupLayout(root)
  const mappings = await tablespaceMappings(cluster, tablespacesDirectory)
  const args = [
    '--checkpoint=fast',
    '--no-sync',
    `--pgdata=${directory}`,
    ...mappings.map(({ from, to }) => `--tablespace-mapping=${from}=${to}`),
    ...(options.args ?? []),
  ]
  return { file, args, root }
}
