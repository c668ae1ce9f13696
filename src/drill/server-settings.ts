import { PbManifestError } from '../errors.js'
import type { ControlFile } from '../postgres/control-file.js'
import { nearestVersion } from '../postgres/versions.js'
import type { DrillEnd } from './report.js'

/** The server of a drill listens to a socket in a directory of its own, so any port will do. */
export const drillPort = 5432

/** What the settings depend on. */
export interface SettingsContext {
  readonly major: number
  readonly control: ControlFile
  readonly socketDirectory: string
  /** `undefined`: recovery as after a crash. */
  readonly until: DrillEnd | undefined
  /** What the caller wants besides. */
  readonly extra: Readonly<Record<string, string>>
}

/** No setting of the caller's may change these: with them, a copy could reach the world, or the world the copy. */
const fixed = [
  'listen_addresses',
  'port',
  'unix_socket_directories',
  'unix_socket_permissions',
  'data_directory',
  'config_file',
  'hba_file',
  'ident_file',
  'external_pid_file',
  'archive_mode',
  'archive_command',
  'archive_library',
  'archive_cleanup_command',
  'recovery_end_command',
  'restore_command',
  'primary_conninfo',
  'primary_slot_name',
  'sync_replication_slots',
  'max_wal_senders',
  'max_logical_replication_workers',
  'hot_standby',
  'logging_collector',
  'log_destination',
  'lc_messages',
] as const

/**
 * The postgresql.conf of a drill: nothing of the backup's own is taken over, because a restored copy that takes itself for the
 * original archives WAL, follows a primary, subscribes, or asks for memory and libraries that are not here.
 *
 * @throws {@link PbManifestError} `USAGE` for a setting that may not be changed
 */
export function serverSettings(context: SettingsContext): string {
  const { extra } = context
  for (const name of Object.keys(extra)) {
    if (!/^[a-z_][a-z0-9_.]*$/i.test(name))
      throw new PbManifestError('USAGE', `"${name}" is no name of a setting`)
    if ((fixed as readonly string[]).includes(name.toLowerCase())) {
      throw new PbManifestError('USAGE', `the setting "${name}" of a drill cannot be changed`)
    }
  }
  const lines = Object.entries({ ...ownSettings(context), ...extra }).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`,
  )
  return lines.join('')
}

function ownSettings({ major, control, socketDirectory, until }: SettingsContext): Record<string, string> {
  const version = nearestVersion(major)
  return {
    listen_addresses: '',
    port: String(drillPort),
    // A list, of which quotes keep a member together.
    unix_socket_directories: `"${socketDirectory.replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    // Nobody is let in before the end of recovery, so the limits of the original server need not be reached.
    hot_standby: 'off',
    max_connections: '20',
    max_worker_processes: '8',
    max_prepared_transactions: String(control.maxPreparedTransactions),
    max_locks_per_transaction: String(Math.max(64, control.maxLocksPerTransaction)),
    // Origins of replication are loaded at the start, and need their places.
    max_replication_slots: '200',
    ...(version.hasActiveReplicationOrigins && { max_active_replication_origins: '200' }),
    track_commit_timestamp: control.trackCommitTimestamp ? 'on' : 'off',
    wal_level: 'replica',
    max_wal_senders: '0',
    max_logical_replication_workers: '0',
    autovacuum: 'off',
    archive_mode: 'off',
    shared_buffers: '64MB',
    huge_pages: 'off',
    ssl: 'off',
    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: '',
    lc_messages: 'C',
    ...(version.hasInPlaceTablespaces && { allow_in_place_tablespaces: 'on' }),
    ...(until !== undefined && {
      // There has to be one. It finds nothing, and so the WAL of the backup is read.
      restore_command: '/bin/false',
      recovery_target_timeline: 'latest',
      recovery_target_action: 'promote',
    }),
    ...(until === 'consistent' && { recovery_target: 'immediate' }),
  }
}

/** Settings of a connection: nothing of a database's own is loaded or run. */
export function sessionOptions(major: number): string {
  const settings = [
    'session_preload_libraries=',
    'local_preload_libraries=',
    'lc_messages=C',
    'statement_timeout=0',
  ]
  if (nearestVersion(major).hasEventTriggersSetting) settings.push('event_triggers=off')
  return settings.map((setting) => `-c ${setting}`).join(' ')
}
