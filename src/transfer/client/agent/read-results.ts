import { displayPathname } from '../../../files/pathname.js'
import { requireSafePathname } from '../../../files/safe-pathname.js'
import { parseWalFileName } from '../../../postgres/wal-file-name.js'
import type { ClusterFile, Tablespace, WalFile } from '../../cluster-files/cluster-files.js'
import type { CommandResults } from '../../commands/command-results.js'
import type { SessionCommand, SessionCommandName } from '../../commands/replication-command.js'
import { agentProtocolError } from './agent-error.js'
import type { Answer } from './backend-message.js'
import { type ResultRow, readRow, readRows } from './result-row.js'
import { readSentFiles } from './sent-files.js'

/** What a command gives, made of an agent's answers to it. */
type ResultReaders = {
  readonly [Name in SessionCommandName]: (
    answers: AsyncIterable<readonly Answer[]>,
    command: SessionCommand<Name>,
  ) => CommandResults[Name] | Promise<CommandResults[Name]>
}

export const resultReaders: ResultReaders = {
  IDENTIFY_CLUSTER: async (answers) => {
    const row = await readRow(answers)
    return {
      majorVersion: row.integer('server_version_major'),
      systemIdentifier: row.bigint('system_identifier'),
      walSegmentSize: row.walSegmentSize('wal_segment_size'),
      hasDataChecksums: row.boolean('data_checksums'),
      hasGroupAccess: row.boolean('group_access'),
      isInRecovery: row.boolean('in_recovery'),
    }
  },
  FIND_WAL_SENDER: async (answers) => {
    const row = await readRow(answers)
    return { found: row.boolean('found'), server: row.text('server') }
  },
  START_BACKUP: async (answers) => {
    const row = await readRow(answers)
    return {
      backupId: row.backupId('backup_id'),
      startLsn: row.lsn('start_lsn'),
      startTimeline: row.unsignedInt32('timeline'),
    }
  },
  JOIN_BACKUP: async (answers) => ({ worker: (await readRow(answers)).integer('worker') }),
  LIST_TABLESPACES: async (answers) => (await readRows(answers)).map(readTablespace),
  LIST_FILES: async (answers) => (await readRows(answers)).map(readClusterFile),
  LIST_WAL_FILES: async (answers) => (await readRows(answers)).map(readWalFile),
  SEND_FILE: (answers, { files }) => readSentFiles(files, answers),
  STOP_BACKUP: async (answers) => {
    const row = await readRow(answers)
    return {
      endLsn: row.lsn('end_lsn'),
      endTimeline: row.unsignedInt32('timeline'),
      backupLabel: row.bytes('backup_label'),
      tablespaceMap: row.bytes('tablespace_map'),
      checksumFailures: row.integer('checksum_failures'),
    }
  },
  BUILD_MANIFEST: readCopy,
  LEAVE_BACKUP: readNothing,
  ABORT_BACKUP: readNothing,
}

function readTablespace(row: ResultRow): Tablespace {
  return {
    oid: row.textOrNull('oid') === undefined ? undefined : row.unsignedInt32('oid'),
    location: row.text('location'),
    bytes: row.integerOrNull('bytes'),
  }
}

function readClusterFile(row: ResultRow): ClusterFile {
  const kind = row.text('kind')
  if (kind !== 'file' && kind !== 'directory') throw agentProtocolError(`there is no kind of file "${kind}"`)
  return {
    pathname: requireSafePathname(row.text('pathname'), agentProtocolError),
    kind,
    size: row.integer('size'),
    modified: row.seconds('modified'),
    mode: row.mode('mode'),
  }
}

function readWalFile(row: ResultRow): WalFile {
  const text = row.text('name')
  const name = parseWalFileName(text)
  if (name === undefined) throw agentProtocolError(`there is no file of WAL "${displayPathname(text)}"`)
  return { name, size: row.integer('size') }
}

async function* readCopy(answers: AsyncIterable<readonly Answer[]>): AsyncGenerator<Buffer, void, undefined> {
  for await (const batch of answers) {
    for (const answer of batch) if (answer.type === 'data') yield answer.bytes
  }
}

async function readNothing(answers: AsyncIterable<readonly Answer[]>): Promise<undefined> {
  await readRows(answers)
}
