import { formatLsn } from '../../../postgres/lsn.js'
import type { ClusterFacts } from '../../cluster-files/cluster-files.js'
import type { CommandResults } from '../../commands/command-results.js'
import type { CommandName } from '../../commands/replication-command.js'
import type { WireColumn } from '../../wire/wire-handler.js'
import type { Row } from './packed-rows.js'

/** A result as a client sees it. */
export interface ResultRows {
  readonly columns: readonly WireColumn[]
  readonly rows: Iterable<Row>
}

/** The commands that answer with rows, and what these are. Columns and their order are part of the protocol. */
export type RowCommand = Exclude<
  CommandName,
  'SEND_FILE' | 'BUILD_MANIFEST' | 'LEAVE_BACKUP' | 'ABORT_BACKUP'
>

type RowMakers = { readonly [Name in RowCommand]: (result: CommandResults[Name]) => ResultRows }

const rowMakers: RowMakers = {
  IDENTIFY_CLUSTER: identifyCluster,
  FIND_WAL_SENDER: ({ found, server }) => ({
    columns: [{ name: 'found', type: 'bool' }, { name: 'server' }],
    rows: [[bool(found), server]],
  }),
  START_BACKUP: ({ backupId, startLsn, startTimeline }) => ({
    columns: [{ name: 'backup_id' }, { name: 'start_lsn' }, { name: 'timeline', type: 'int8' }],
    rows: [[backupId, formatLsn(startLsn), String(startTimeline)]],
  }),
  JOIN_BACKUP: ({ worker }) => ({
    columns: [{ name: 'worker', type: 'int4' }],
    rows: [[String(worker)]],
  }),
  LIST_TABLESPACES: (tablespaces) => ({
    columns: [{ name: 'oid', type: 'int8' }, { name: 'location' }, { name: 'bytes', type: 'int8' }],
    rows: map(tablespaces, ({ oid, location, bytes }) => [text(oid), location, text(bytes)]),
  }),
  LIST_FILES: (files) => ({
    columns: [
      { name: 'pathname' },
      { name: 'kind' },
      { name: 'size', type: 'int8' },
      { name: 'modified', type: 'int8' },
      { name: 'mode' },
    ],
    rows: map(files, ({ pathname, kind, size, modified, mode }) => [
      pathname,
      kind,
      String(size),
      String(modified),
      mode === undefined ? null : formatMode(mode),
    ]),
  }),
  LIST_WAL_FILES: (files) => ({
    columns: [{ name: 'name' }, { name: 'size', type: 'int8' }],
    rows: map(files, ({ name, size }) => [name, String(size)]),
  }),
  STOP_BACKUP: (end) => ({
    columns: [
      { name: 'end_lsn' },
      { name: 'timeline', type: 'int8' },
      { name: 'backup_label' },
      { name: 'tablespace_map' },
      { name: 'checksum_failures', type: 'int8' },
    ],
    rows: [
      [
        formatLsn(end.endLsn),
        String(end.endTimeline),
        end.backupLabel,
        end.tablespaceMap,
        String(end.checksumFailures),
      ],
    ],
  }),
  LIST_BACKUPS: (backups) => ({
    columns: [
      { name: 'backup_id' },
      { name: 'label' },
      { name: 'workers', type: 'int4' },
      { name: 'bytes', type: 'int8' },
      { name: 'rate', type: 'int8' },
      { name: 'state' },
      { name: 'bytes_expected', type: 'int8' },
    ],
    rows: map(backups, ({ backupId, label, workers, bytes, rate, state, bytesExpected }) => [
      backupId ?? null,
      label,
      String(workers),
      String(bytes),
      String(Math.round(rate)),
      state,
      text(bytesExpected),
    ]),
  }),
}

/** Makes rows of a result; long lists one by one, when they are taken. */
export function makeResultRows<Name extends RowCommand>(
  command: Name,
  result: CommandResults[Name],
): ResultRows {
  return rowMakers[command](result)
}

function identifyCluster(facts: ClusterFacts): ResultRows {
  return {
    columns: [
      { name: 'server_version_major', type: 'int4' },
      { name: 'system_identifier' },
      { name: 'wal_segment_size', type: 'int8' },
      { name: 'data_checksums', type: 'bool' },
      { name: 'group_access', type: 'bool' },
      { name: 'in_recovery', type: 'bool' },
    ],
    rows: [
      [
        String(facts.majorVersion),
        String(facts.systemIdentifier),
        String(facts.walSegmentSize),
        bool(facts.hasDataChecksums),
        bool(facts.hasGroupAccess),
        bool(facts.isInRecovery),
      ],
    ],
  }
}

/** As `chmod` takes it. */
function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

function* map<Item>(items: Iterable<Item>, toRow: (item: Item) => Row): Generator<Row, void, undefined> {
  for (const item of items) yield toRow(item)
}

function text(value: number | undefined): string | null {
  return value === undefined ? null : String(value)
}

function bool(value: boolean): string {
  return value ? 't' : 'f'
}
