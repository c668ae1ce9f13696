import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathOf } from '../../../src/files/pathname.js'
import { LocalClusterFiles } from '../../../src/transfer/cluster-files/local/local-cluster-files.js'
import type {
  CommandResults,
  ReplicationCommand,
  SessionCommand,
  SessionCommandName,
  StoppedBackup,
} from '../../../src/transfer/commands/replication-command.js'
import { BackupRegistry } from '../../../src/transfer/session/backup.js'
import type { BackupSession } from '../../../src/transfer/session/backup-session.js'
import { ReplicationSession } from '../../../src/transfer/session/replication-session.js'
import type { Cluster } from '../../helpers/cluster.js'
import { PlainBackupMode } from '../../helpers/plain-backup-mode.js'
import { unsized } from '../../helpers/unsized.js'

/** Sessions over the data directory of a running cluster. */
export interface Sessions {
  readonly registry: BackupRegistry
  readonly notices: string[]
  readonly lead: () => Promise<ReplicationSession>
  readonly work: () => Promise<ReplicationSession>
}

export function sessionsOf(cluster: Cluster, fragmentDirectory: string): Sessions {
  const registry = new BackupRegistry()
  const notices: string[] = []
  const options = {
    registry,
    fragmentDirectory,
    onNotice: ({ message }: { message: string }) => notices.push(message),
  }
  const files = (): Promise<LocalClusterFiles> => LocalClusterFiles.open(cluster.dataDirectory)
  return {
    registry,
    notices,
    lead: async () =>
      new ReplicationSession({ ...options, files: await files(), mode: await PlainBackupMode.open(cluster) }),
    work: async () => new ReplicationSession({ ...options, files: await files() }),
  }
}

/** Runs a command that is given as data. */
export function run<Name extends SessionCommandName>(
  session: BackupSession,
  command: SessionCommand<Name>,
): Promise<CommandResults[Name]> {
  return session.run(command)
}

export const startBackup = {
  command: 'START_BACKUP',
  label: 'test',
  fast: true,
  maxRate: undefined,
  manifest: 'yes',
  manifestChecksums: undefined,
  incremental: false,
} as const

export interface ParallelBackup extends StoppedBackup {
  readonly backupId: string
  readonly manifest: string
}

/** Takes a backup into a directory that does not exist: the leader sends nothing but pg_control, workers the rest. */
export async function takeParallelBackup(
  sessions: Sessions,
  directory: string,
  workers: number,
  options: Partial<ReplicationCommand<'START_BACKUP'>> = {},
): Promise<ParallelBackup> {
  const leader = await sessions.lead()
  const { backupId } = await run(leader, { ...startBackup, ...options })
  const pathnames = await makeDirectories(leader, directory)
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      const session = await sessions.work()
      await run(session, { command: 'JOIN_BACKUP', backupId })
      // In turn, so that every worker has some of everything, and another order than its neighbour.
      const share = pathnames.filter((_, index) => index % workers === worker)
      await receive(session, worker % 2 === 0 ? share : share.toReversed(), directory)
      await session.finish()
    }),
  )
  await receive(leader, ['global/pg_control'], directory)
  const end = await run(leader, { command: 'STOP_BACKUP', wait: false })
  writeFileSync(join(directory, 'backup_label'), end.backupLabel)
  const chunks: Buffer[] = []
  if (options.manifest !== 'no') {
    for await (const chunk of await run(leader, { command: 'BUILD_MANIFEST', backupId })) {
      chunks.push(Buffer.from(chunk))
    }
  }
  const manifest = Buffer.concat(chunks)
  if (options.manifest !== 'no') writeFileSync(join(directory, 'backup_manifest'), manifest)
  await leader.finish()
  return { ...end, backupId, manifest: manifest.toString() }
}

/** Makes all directories; returns the pathnames of the files but pg_control. */
async function makeDirectories(leader: BackupSession, directory: string): Promise<string[]> {
  mkdirSync(directory, { mode: 0o700 })
  const pathnames: string[] = []
  const tablespaces = await run(leader, { command: 'LIST_TABLESPACES', progress: true })
  for (const { oid } of tablespaces.toReversed()) {
    if (oid !== undefined) {
      mkdirSync(`${directory}.${oid}`)
      symlinkSync(`${directory}.${oid}`, join(directory, 'pg_tblspc', String(oid)))
    }
    for (const { pathname, kind } of await run(leader, { command: 'LIST_FILES', tablespace: oid })) {
      if (kind === 'directory') mkdirSync(pathOf(directory, pathname))
      else if (pathname !== 'global/pg_control') pathnames.push(pathname)
    }
  }
  return pathnames
}

/** Has the session send these files, and writes them. */
async function receive(
  session: BackupSession,
  pathnames: readonly string[],
  directory: string,
): Promise<void> {
  if (pathnames.length === 0) return
  let path: string | Buffer = ''
  for await (const event of await run(session, {
    command: 'SEND_FILE',
    files: unsized(...pathnames),
    verifyChecksums: true,
  })) {
    if (event.type === 'file') {
      path = pathOf(directory, event.pathname)
      writeFileSync(path, '')
    } else if (event.type === 'bytes') appendFileSync(path, event.bytes)
  }
}
