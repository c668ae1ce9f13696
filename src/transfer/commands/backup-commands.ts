import type { Answers, CommandContract, ResultFormat } from './command-contract.js'
import {
  formatFlag,
  readFileCount,
  readFlag,
  readManifestOption,
  readMaxRate,
  type OptionReaders,
  readOptions,
  readSessionId,
  readString,
} from './command-options.js'
import { quoteString } from './command-tokens.js'
import { DEFAULT_LABEL } from './replication-command.js'
import {
  backupId,
  bytes,
  count,
  lsn,
  oneRow,
  orNull,
  rowForEach,
  text,
  unsignedInt32,
  word,
} from './result-rows.js'

// The life of a backup, from its start to its manifest.

interface StartOptions {
  readonly LABEL: string
  readonly FAST: boolean
  readonly MAX_RATE: number
  readonly MANIFEST: 'yes' | 'no' | 'force-encode'
  readonly INCREMENTAL: boolean
  readonly MANIFEST_CHECKSUMS: { readonly algorithm: string; readonly refuse: () => Error }
}

const startOptionReaders: OptionReaders<StartOptions> = {
  LABEL: readString,
  FAST: readFlag,
  MAX_RATE: readMaxRate,
  MANIFEST: readManifestOption,
  INCREMENTAL: readFlag,
  MANIFEST_CHECKSUMS: (tokens, keyword) => ({
    algorithm: readString(tokens),
    refuse: () => tokens.error('manifest checksums require a backup manifest', keyword),
  }),
}

export const startBackup: CommandContract<'START_BACKUP'> = {
  parse: (tokens) => {
    const options = readOptions(tokens, startOptionReaders)
    const { LABEL: label = DEFAULT_LABEL, FAST: fast = false, MANIFEST: manifest = 'yes' } = options
    if (manifest === 'no' && options.MANIFEST_CHECKSUMS !== undefined)
      throw options.MANIFEST_CHECKSUMS.refuse()
    return {
      command: 'START_BACKUP',
      label,
      fast,
      maxRate: options.MAX_RATE,
      manifest,
      manifestChecksums: options.MANIFEST_CHECKSUMS?.algorithm,
      incremental: options.INCREMENTAL ?? false,
    }
  },
  format: ({ label, fast, maxRate, manifest, manifestChecksums, incremental }) => [
    ...(label === DEFAULT_LABEL ? [] : [`LABEL ${quoteString(label)}`]),
    ...(fast ? ['FAST'] : []),
    ...(maxRate === undefined ? [] : [`MAX_RATE ${maxRate}`]),
    ...(manifest === 'yes' ? [] : [`MANIFEST ${quoteString(manifest)}`]),
    ...(manifestChecksums === undefined ? [] : [`MANIFEST_CHECKSUMS ${quoteString(manifestChecksums)}`]),
    ...formatFlag('INCREMENTAL', incremental),
  ],
  result: oneRow({
    backupId: backupId('backup_id'),
    startLsn: lsn('start_lsn'),
    startTimeline: unsignedInt32('timeline'),
  }),
}

interface JoinOptions {
  readonly SESSION: string
  readonly RECEIVED: { readonly files: number; readonly refuse: () => Error }
}

const joinOptionReaders: OptionReaders<JoinOptions> = {
  SESSION: readSessionId,
  RECEIVED: (tokens, keyword) => ({
    files: readFileCount(tokens),
    refuse: () => tokens.error('RECEIVED requires SESSION', keyword),
  }),
}

export const joinBackup: CommandContract<'JOIN_BACKUP'> = {
  parse: (tokens) => {
    const backupId = readString(tokens)
    const { SESSION: id, RECEIVED: received } = readOptions(tokens, joinOptionReaders)
    if (id !== undefined)
      return { command: 'JOIN_BACKUP', backupId, session: { id, received: received?.files ?? 0 } }
    if (received !== undefined) throw received.refuse()
    return { command: 'JOIN_BACKUP', backupId, session: undefined }
  },
  format: ({ backupId, session }) => [
    quoteString(backupId),
    ...(session === undefined ? [] : [`SESSION ${quoteString(session.id)}`]),
    ...(session === undefined || session.received === 0 ? [] : [`RECEIVED ${session.received}`]),
  ],
  result: oneRow({ worker: count('worker', 'int4') }),
}

export const stopBackup: CommandContract<'STOP_BACKUP'> = {
  parse: (tokens) => {
    const { NOWAIT: nowait = false, TABLESPACE_MAP: tablespaceMap = false } = readOptions<{
      NOWAIT: boolean
      TABLESPACE_MAP: boolean
    }>(tokens, { NOWAIT: readFlag, TABLESPACE_MAP: readFlag })
    return { command: 'STOP_BACKUP', wait: !nowait, ...(tablespaceMap && { tablespaceMap }) }
  },
  format: ({ wait, tablespaceMap = false }) => [
    ...formatFlag('NOWAIT', !wait),
    ...formatFlag('TABLESPACE_MAP', tablespaceMap),
  ],
  result: oneRow({
    endLsn: lsn('end_lsn'),
    endTimeline: unsignedInt32('timeline'),
    backupLabel: bytes('backup_label'),
    tablespaceMap: bytes('tablespace_map'),
    checksumFailures: count('checksum_failures', 'int8'),
  }),
}

export const buildManifest: CommandContract<'BUILD_MANIFEST'> = {
  parse: (tokens) => ({ command: 'BUILD_MANIFEST', backupId: readString(tokens) }),
  format: ({ backupId }) => [quoteString(backupId)],
  result: {
    encode: async (pieces, { part }) => {
      await part({ type: 'begin' })
      for await (const bytes of pieces) await part({ type: 'bytes', bytes })
      await part({ type: 'end', tag: 'BUILD_MANIFEST' })
    },
    decode: readCopy,
  },
}

async function* readCopy(answers: Answers): AsyncGenerator<Buffer, void, undefined> {
  for await (const batch of answers) {
    for (const answer of batch) if (answer.type === 'data') yield answer.bytes
  }
}

/** Nothing but that it was done. */
const nothing: ResultFormat<undefined> = {
  encode: async () => {},
  decode: async (answers) => {
    for await (const _ of answers);
    return undefined
  },
}

export const uploadManifest: CommandContract<'UPLOAD_MANIFEST'> = {
  parse: () => ({ command: 'UPLOAD_MANIFEST', manifest: undefined }),
  format: () => [],
  result: nothing,
}

export const leaveBackup: CommandContract<'LEAVE_BACKUP'> = {
  parse: () => ({ command: 'LEAVE_BACKUP' }),
  format: () => [],
  result: nothing,
}

export const abortBackup: CommandContract<'ABORT_BACKUP'> = {
  parse: () => ({ command: 'ABORT_BACKUP' }),
  format: () => [],
  result: nothing,
}

export const listBackups: CommandContract<'LIST_BACKUPS'> = {
  parse: () => ({ command: 'LIST_BACKUPS' }),
  format: () => [],
  result: rowForEach({
    backupId: orNull(backupId('backup_id')),
    label: text('label'),
    workers: count('workers', 'int4'),
    bytes: count('bytes', 'int8'),
    rate: count('rate', 'int8'),
    state: word('state', ['running', 'stopping', 'stopped']),
    bytesExpected: orNull(count('bytes_expected', 'int8')),
  }),
}
