import { formatLsn } from '../../postgres/lsn.js'
import { quoteString } from './quoted-string.js'
import { DEFAULT_LABEL, type ReplicationCommand } from './replication-command.js'

/**
 * The text of a command; the reverse of `parseCommand`. What is as it is by default is left out.
 *
 * @throws RangeError when a string of it cannot stand in a command
 */
export function formatCommand(command: ReplicationCommand): string {
  return [command.command, ...formatRest(command)].join(' ')
}

function formatRest(command: ReplicationCommand): string[] {
  switch (command.command) {
    case 'START_BACKUP':
      return formatStartOptions(command)
    case 'JOIN_BACKUP':
    case 'BUILD_MANIFEST':
      return [quoteString(command.backupId)]
    case 'FIND_WAL_SENDER':
      return [quoteString(command.applicationName)]
    case 'LIST_TABLESPACES':
      return command.progress ? ['PROGRESS'] : []
    case 'LIST_FILES':
      return command.tablespace === undefined ? [] : [quoteString(String(command.tablespace))]
    case 'LIST_WAL_FILES':
      return [
        ...formatLocation('START_WAL_LOCATION', command.startLsn),
        ...formatLocation('END_WAL_LOCATION', command.endLsn),
      ]
    case 'SEND_FILE':
      return [
        `(${command.pathnames.map(quoteString).join(', ')})`,
        ...(command.verifyChecksums ? [] : ['NOVERIFY_CHECKSUMS']),
      ]
    case 'STOP_BACKUP':
      return command.wait ? [] : ['NOWAIT']
    case 'IDENTIFY_CLUSTER':
    case 'LEAVE_BACKUP':
    case 'ABORT_BACKUP':
    case 'LIST_BACKUPS':
      return []
    default:
      return command satisfies never
  }
}

function formatStartOptions(command: Extract<ReplicationCommand, { command: 'START_BACKUP' }>): string[] {
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
