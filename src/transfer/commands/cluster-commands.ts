import type { Pathname } from '../../files/pathname.js'
import { formatLsn } from '../../postgres/lsn.js'
import type { RequestedFile } from '../cluster-files/cluster-files.js'
import {
  agentProtocolError,
  type Answers,
  type CommandContract,
  type ResultPart,
} from './command-contract.js'
import {
  formatFlag,
  readFlag,
  readLocation,
  readOptions,
  readString,
  readTablespaceOid,
} from './command-options.js'
import type { ListedFile, SentFileEvent } from './replication-command.js'
import { type CommandTokens, quoteString } from './command-tokens.js'
import {
  bool,
  count,
  laterColumn,
  mode,
  oneRow,
  orNull,
  rowForEach,
  safePathname,
  seconds,
  systemIdentifier,
  text,
  unsignedInt32,
  walFileName,
  walSegmentSize,
  word,
} from './result-rows.js'

// What a cluster is, what it consists of, and its bytes.

export const identifyCluster: CommandContract<'IDENTIFY_CLUSTER'> = {
  parse: () => ({ command: 'IDENTIFY_CLUSTER' }),
  format: () => [],
  result: oneRow({
    majorVersion: count('server_version_major', 'int4'),
    systemIdentifier: systemIdentifier('system_identifier'),
    walSegmentSize: walSegmentSize('wal_segment_size'),
    hasDataChecksums: bool('data_checksums'),
    hasGroupAccess: bool('group_access'),
    isInRecovery: bool('in_recovery'),
  }),
}

export const findWalSender: CommandContract<'FIND_WAL_SENDER'> = {
  parse: (tokens) => ({ command: 'FIND_WAL_SENDER', applicationName: readString(tokens) }),
  format: ({ applicationName }) => [quoteString(applicationName)],
  result: oneRow({ found: bool('found'), server: text('server') }),
}

export const listTablespaces: CommandContract<'LIST_TABLESPACES'> = {
  parse: (tokens) => {
    const { PROGRESS: progress = false } = readOptions<{ PROGRESS: boolean }>(tokens, { PROGRESS: readFlag })
    return { command: 'LIST_TABLESPACES', progress }
  },
  format: ({ progress }) => formatFlag('PROGRESS', progress),
  result: rowForEach({
    oid: orNull(unsignedInt32('oid')),
    location: text('location'),
    bytes: orNull(count('bytes', 'int8')),
  }),
}

export const listFiles: CommandContract<'LIST_FILES'> = {
  parse: (tokens) => ({
    command: 'LIST_FILES',
    tablespace: tokens.next.type === 'end' || isSemicolon(tokens) ? undefined : readTablespaceOid(tokens),
  }),
  format: ({ tablespace }) => (tablespace === undefined ? [] : [quoteString(String(tablespace))]),
  result: rowForEach<ListedFile>({
    pathname: safePathname('pathname'),
    kind: word('kind', ['file', 'directory']),
    size: count('size', 'int8'),
    modified: seconds('modified'),
    mode: mode('mode'),
    wholeSize: laterColumn(orNull(count('whole_size', 'int8'))),
  }),
}

export const listWalFiles: CommandContract<'LIST_WAL_FILES'> = {
  parse: (tokens) => {
    const options = readOptions<{ START_WAL_LOCATION: bigint; END_WAL_LOCATION: bigint }>(tokens, {
      START_WAL_LOCATION: readLocation,
      END_WAL_LOCATION: readLocation,
    })
    return {
      command: 'LIST_WAL_FILES',
      startLsn: options.START_WAL_LOCATION,
      endLsn: options.END_WAL_LOCATION,
    }
  },
  format: ({ startLsn, endLsn }) => [
    ...formatLocation('START_WAL_LOCATION', startLsn),
    ...formatLocation('END_WAL_LOCATION', endLsn),
  ],
  result: rowForEach({ name: walFileName('name'), size: count('size', 'int8') }),
}

function formatLocation(keyword: string, lsn: bigint | undefined): string[] {
  return lsn === undefined ? [] : [`${keyword} '${formatLsn(lsn)}'`]
}

export const sendFile: CommandContract<'SEND_FILE'> = {
  parse: (tokens) => {
    const files = readPathnames(tokens).map((pathname) => ({ pathname, size: undefined }))
    const { NOVERIFY_CHECKSUMS: noVerify = false, SIZES: sizes = false } = readOptions<{
      NOVERIFY_CHECKSUMS: boolean
      SIZES: boolean
    }>(tokens, { NOVERIFY_CHECKSUMS: readFlag, SIZES: readFlag })
    return { command: 'SEND_FILE', files, verifyChecksums: !noVerify, ...(sizes && { sizes }) }
  },
  format: ({ files, verifyChecksums, sizes = false }) => [
    `(${files.map(({ pathname }) => quoteString(pathname)).join(', ')})`,
    ...formatFlag('NOVERIFY_CHECKSUMS', !verifyChecksums),
    ...formatFlag('SIZES', sizes),
  ],
  result: {
    encode: async (events, { part }) => {
      for await (const event of events) {
        await part(toPart(event))
        if (event.type === 'file' && event.announced !== undefined)
          await part({ type: 'bytes', bytes: formatAnnouncement(event.announced) })
      }
    },
    decode: (answers, { files, sizes = false }) => readSentFiles(files, sizes, answers),
  },
}

function readPathnames(tokens: CommandTokens): Pathname[] {
  if (!tokens.takeSymbol('(')) throw tokens.unexpected('Pathnames stand in parentheses.')
  const pathnames = [readString(tokens)]
  while (tokens.takeSymbol(',')) pathnames.push(readString(tokens))
  if (!tokens.takeSymbol(')')) throw tokens.unexpected()
  return pathnames
}

function isSemicolon(tokens: CommandTokens): boolean {
  return tokens.next.type === 'symbol' && tokens.next.symbol === ';'
}

/** Of each file a COPY with its bytes, and a tag that says what else there is to know of it. */
function toPart(event: SentFileEvent): ResultPart {
  switch (event.type) {
    case 'file':
      return { type: 'begin' }
    case 'bytes':
      return event
    case 'end':
      return { type: 'end', tag: formatSendFileTag(event) }
    case 'vanished':
      return { type: 'nothing', tag: formatSendFileTag('vanished') }
    default:
      return event satisfies never
  }
}

/** @throws {@link PbManifestError} `SERVER` when there are not as many as were asked for, and what `answers` throws */
async function* readSentFiles(
  files: readonly RequestedFile[],
  sizes: boolean,
  answers: Answers,
): AsyncGenerator<SentFileEvent, void, undefined> {
  let place = 0
  let isOpen = false
  let begin = Buffer.alloc(0)
  for await (const batch of answers) {
    for (const answer of batch) {
      const pathname = files[place]?.pathname
      if (pathname === undefined) throw agentProtocolError('more files came than were asked for')
      const end = answer.type === 'complete' ? parseSendFileTag(answer.tag) : undefined
      if (answer.type !== 'data' && end === undefined) continue
      if (end === 'vanished') {
        if (isOpen) throw agentProtocolError('a file came that had vanished')
        yield { type: 'vanished', pathname }
      } else {
        let bytes = answer.type === 'data' ? answer.bytes : undefined
        if (!isOpen && sizes) {
          if (bytes !== undefined) begin = Buffer.concat([begin, bytes])
          if (begin.length < ANNOUNCEMENT_BYTES && end === undefined) continue
          yield { type: 'file', pathname, announced: parseAnnouncement(begin) }
          bytes = begin.subarray(ANNOUNCEMENT_BYTES)
          begin = Buffer.alloc(0)
        } else if (!isOpen) {
          yield { type: 'file', pathname }
        }
        isOpen = end === undefined
        if (bytes !== undefined && bytes.length > 0) yield { type: 'bytes', bytes }
        if (end !== undefined) yield end
      }
      if (end !== undefined) place++
    }
  }
  if (place !== files.length) throw agentProtocolError('fewer files came than were asked for')
}

type SentFileEnd = Extract<SentFileEvent, { type: 'end' }> | 'vanished'

/** With SIZES, what stands before the bytes of each file: its size, and when it was modified in seconds since 1970, 8 bytes each. */
const ANNOUNCEMENT_BYTES = 16

type Announcement = NonNullable<Extract<SentFileEvent, { type: 'file' }>['announced']>

function formatAnnouncement({ size, modified }: Announcement): Buffer {
  const bytes = Buffer.alloc(ANNOUNCEMENT_BYTES)
  bytes.writeBigInt64BE(BigInt(size), 0)
  bytes.writeBigInt64BE(BigInt(modified), 8)
  return bytes
}

function parseAnnouncement(bytes: Buffer): Announcement {
  if (bytes.length < ANNOUNCEMENT_BYTES) throw agentProtocolError('a file came without its size')
  const [size, modified] = [Number(bytes.readBigInt64BE(0)), Number(bytes.readBigInt64BE(8))]
  if (!Number.isSafeInteger(size) || size < 0)
    throw agentProtocolError('a file has a size that makes no sense')
  if (!Number.isSafeInteger(modified)) throw agentProtocolError('a file has a time that makes no sense')
  return { size, modified }
}

/** `SEND_FILE <bytes> <modified> <checksum or -> <throttled ms>`, or `SEND_FILE vanished`. */
function formatSendFileTag(end: SentFileEnd): string {
  if (end === 'vanished') return 'SEND_FILE vanished'
  const { size, modified, checksum = '-', throttledMs } = end
  return `SEND_FILE ${size} ${modified} ${checksum} ${throttledMs}`
}

const tags = /^SEND_FILE ([0-9]{1,16}) (-?[0-9]{1,15}) ([0-9a-f]{1,128}|-) ([0-9]{1,15})$/

export function parseSendFileTag(tag: string): SentFileEnd {
  if (tag === 'SEND_FILE vanished') return 'vanished'
  const [, size, modified, checksum, throttledMs] = tags.exec(tag) ?? []
  if (size === undefined) throw agentProtocolError(`"${tag}" is no end of a file`)
  return {
    type: 'end',
    size: Number(size),
    modified: Number(modified),
    checksum: checksum === '-' ? undefined : checksum,
    throttledMs: Number(throttledMs),
  }
}
