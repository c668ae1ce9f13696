import { formatLsn } from '../../postgres/lsn.js'
import { quoteString } from './quoted-string.js'
import { type CommandName, DEFAULT_LABEL, type ReplicationCommand } from './replication-command.js'

/**
 * The text of a command; the reverse of `parseCommand`. What is as it is by default is left out.
 *
 * @throws RangeError when a string of it cannot stand in a command
 */
export function formatCommand<Name extends CommandName>(command: ReplicationCommand<Name>): string {
  const formatOptions = optionFormatters[command.command]
  return [command.command, ...formatOptions(command)].join(' ')
}

const optionFormatters: {
  readonly [Name in CommandName]: (command: ReplicationCommand<Name>) => readonly string[]
} = {
  IDENTIFY_CLUSTER: () => [],
  FIND_WAL_SENDER: ({ applicationName }) => [quoteString(applicationName)],
  START_BACKUP: formatStartOptions,
  JOIN_BACKUP: ({ backupId }) => [quoteString(backupId)],
  LIST_TABLESPACES: ({ progress }) => (progress ? ['PROGRESS'] : []),
  LIST_FILES: ({ tablespace }) => (tablespace === undefined ? [] : [quoteString(String(tablespace))]),
  LIST_WAL_FILES: ({ startLsn, endLsn }) => [
    ...formatLocation('START_WAL_LOCATION', startLsn),
    ...formatLocation('END_WAL_LOCATION', endLsn),
  ],
  SEND_FILE: ({ files, verifyChecksums }) => [
    `(${files.map(({ pathname }) => quoteString(pathname)).join(', ')})`,
    ...(verifyChecksums ? [] : ['NOVERIFY_CHECKSUMS']),
  ],
  STOP_BACKUP: ({ wait }) => (wait ? [] : ['NOWAIT']),
  BUILD_MANIFEST: ({ backupId }) => [quoteString(backupId)],
  LEAVE_BACKUP: () => [],
  ABORT_BACKUP: () => [],
  LIST_BACKUPS: () => [],
}

function formatStartOptions(command: ReplicationCommand<'START_BACKUP'>): string[] {
  const { label, fast, maxRate, manifest, manifestChecksums } = command
  return [
    ...(label === DEFAULT_LABEL ? [] : [`LABEL ${quoteString(label)}`]),
    ...(fast ? ['FAST'] : []),
    ...(maxRate === undefined ? [] : [`MAX_RATE ${maxRate}`]),
    ...(manifest === 'yes' ? [] : [`MANIFEST ${quoteString(manifest)}`]),
    ...(manifestChecksums === undefined ? [] : [`MANIFEST_CHECKSUMS ${quoteString(manifestChecksums)}`]),
  ]
}

function formatLocation(keyword: string, lsn: bigint | undefined): string[] {
  return lsn === undefined ? [] : [`${keyword} '${formatLsn(lsn)}'`]
}
