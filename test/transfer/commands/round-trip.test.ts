import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodePathname } from '../../../src/files/pathname.js'
import { ownPathname } from '../../../src/files/safe-pathname.js'
import { parseWalFileName } from '../../../src/postgres/wal-segment.js'
import { packRows, unpackRows } from '../../../src/transfer/agent/thread/packed-rows.js'
import type { Answer, ResultOutput } from '../../../src/transfer/commands/command-contract.js'
import type {
  CommandName,
  CommandResults,
  ReplicationCommand,
  SentFileEvent,
} from '../../../src/transfer/commands/replication-command.js'
import { commandContracts, formatCommand, parseCommand } from '../../../src/transfer/commands/commands.js'
import { unsized } from '../../helpers/unsized.js'

/** What a test says to a session, and what it answers; a stream as the list of what comes of it. */
interface Exchange<Name extends CommandName> {
  readonly command: ReplicationCommand<Name>
  readonly result: Listed<CommandResults[Name]>
}

type Listed<Result> = Result extends AsyncIterable<infer Item> ? readonly Item[] : Result

const anyName = fc
  .uint8Array()
  .map((bytes) => decodePathname(Buffer.from(bytes.filter((byte) => byte !== 0))))
const anyText = fc.oneof(
  anyName,
  fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0')),
)
const anyCount = fc.maxSafeNat()
const anyLsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const anyOid = fc.integer({ min: 1, max: 0xffff_ffff })
const anyId = fc.stringMatching(/^[0-9a-f]{32}$/)
const anyPathname = fc
  .array(fc.uint8Array(), { minLength: 1, maxLength: 4 })
  .map((names) =>
    names.map((bytes) => Buffer.from([0x78, ...bytes.filter((byte) => byte !== 0 && byte !== 0x2f)])),
  )
  .map((names) => ownPathname(names.map(decodePathname).join('/')))
const anyWalFile = fc.stringMatching(/^[0-9A-F]{7}[1-9A-F][0-9A-F]{8}000000[0-9A-F]{2}$/).map((text) => {
  const name = parseWalFileName(text)
  if (name === undefined) throw new Error(`"${text}" is no file of WAL`)
  return name
})
const anyBytes = fc.uint8Array().map((bytes) => Buffer.from(bytes))

function orNone<Item>(item: fc.Arbitrary<Item>): fc.Arbitrary<Item | undefined> {
  return fc.option(item, { nil: undefined })
}

function only<Name extends CommandName>(command: Name): fc.Arbitrary<{ readonly command: Name }> {
  return fc.constant({ command })
}

const anySentFile = fc.oneof(
  fc.record({ type: fc.constant('vanished' as const) }),
  fc.record({
    type: fc.constant('sent' as const),
    pieces: fc.array(anyBytes),
    modified: fc.integer({ min: -(10 ** 12), max: 10 ** 12 }),
    checksum: orNone(fc.stringMatching(/^[0-9a-f]{8,128}$/)),
    throttledMs: fc.nat(),
  }),
)

const exchanges: { readonly [Name in CommandName]: fc.Arbitrary<Exchange<Name>> } = {
  IDENTIFY_CLUSTER: fc.record({
    command: only('IDENTIFY_CLUSTER'),
    result: fc.record({
      majorVersion: fc.nat(),
      systemIdentifier: anyLsn,
      walSegmentSize: fc.integer({ min: 20, max: 30 }).map((bits) => 2 ** bits),
      hasDataChecksums: fc.boolean(),
      hasGroupAccess: fc.boolean(),
      isInRecovery: fc.boolean(),
    }),
  }),
  FIND_WAL_SENDER: fc.record({
    command: fc.record({ command: fc.constant('FIND_WAL_SENDER'), applicationName: anyText }),
    result: fc.record({ found: fc.boolean(), server: anyText }),
  }),
  UPLOAD_MANIFEST: fc.record({
    command: fc.record({ command: fc.constant('UPLOAD_MANIFEST'), manifest: fc.constant(undefined) }),
    result: fc.constant(undefined),
  }),
  START_BACKUP: fc.record({
    command: fc.constantFrom('yes' as const, 'no' as const, 'force-encode' as const).chain((manifest) =>
      fc.record({
        command: fc.constant('START_BACKUP'),
        label: anyText,
        fast: fc.boolean(),
        maxRate: orNone(fc.integer({ min: 32, max: 1_048_576 })),
        manifest: fc.constant(manifest),
        manifestChecksums: manifest === 'no' ? fc.constant(undefined) : orNone(anyText),
        incremental: fc.boolean(),
      }),
    ),
    result: fc.record({ backupId: anyId, startLsn: anyLsn, startTimeline: anyOid }),
  }),
  JOIN_BACKUP: fc.record({
    command: fc.record({
      command: fc.constant('JOIN_BACKUP'),
      backupId: anyText,
      session: orNone(fc.record({ id: anyId, received: fc.integer({ min: 0, max: 999_999_999_999 }) })),
    }),
    result: fc.record({ worker: fc.nat() }),
  }),
  LIST_TABLESPACES: fc.record({
    command: fc.record({ command: fc.constant('LIST_TABLESPACES'), progress: fc.boolean() }),
    result: fc.array(fc.record({ oid: orNone(anyOid), location: anyText, bytes: orNone(anyCount) })),
  }),
  LIST_FILES: fc.record({
    command: fc.record({ command: fc.constant('LIST_FILES'), tablespace: orNone(anyOid) }),
    result: fc.array(
      fc.record({
        pathname: anyPathname,
        kind: fc.constantFrom('file', 'directory'),
        size: anyCount,
        modified: fc.maxSafeInteger(),
        mode: orNone(fc.integer({ min: 0, max: 0o777 })),
        wholeSize: orNone(anyCount),
      }),
    ),
  }),
  LIST_WAL_FILES: fc.record({
    command: fc.record({
      command: fc.constant('LIST_WAL_FILES'),
      startLsn: orNone(anyLsn),
      endLsn: orNone(anyLsn),
    }),
    result: fc.array(fc.record({ name: anyWalFile, size: anyCount })),
  }),
  SEND_FILE: fc
    .record({
      files: fc.array(fc.tuple(anyPathname, anySentFile), { minLength: 1 }),
      verifyChecksums: fc.boolean(),
      sizes: fc.boolean(),
    })
    .map(({ files, verifyChecksums, sizes }) => ({
      command: {
        command: 'SEND_FILE',
        files: unsized(...files.map(([pathname]) => pathname)),
        verifyChecksums,
        ...(sizes && { sizes }),
      },
      result: files.flatMap(([pathname, file]): SentFileEvent[] => {
        if (file.type === 'vanished') return [{ type: 'vanished', pathname }]
        const { pieces, ...known } = file
        const size = pieces.reduce((sum, piece) => sum + piece.length, 0)
        return [
          { type: 'file', pathname, ...(sizes && { announced: { size, modified: known.modified } }) },
          ...pieces.map((bytes) => ({ type: 'bytes', bytes }) as const),
          { ...known, type: 'end', size },
        ]
      }),
    })),
  STOP_BACKUP: fc.record({
    command: fc
      .record({ wait: fc.boolean(), tablespaceMap: fc.boolean() })
      .map(({ wait, tablespaceMap }) => ({
        command: 'STOP_BACKUP',
        wait,
        ...(tablespaceMap && { tablespaceMap }),
      })),
    result: fc.record({
      endLsn: anyLsn,
      endTimeline: anyOid,
      backupLabel: anyBytes,
      tablespaceMap: anyBytes,
      checksumFailures: anyCount,
    }),
  }),
  BUILD_MANIFEST: fc.record({
    command: fc.record({ command: fc.constant('BUILD_MANIFEST'), backupId: anyText }),
    result: fc.array(anyBytes),
  }),
  LEAVE_BACKUP: fc.record({ command: only('LEAVE_BACKUP'), result: fc.constant(undefined) }),
  ABORT_BACKUP: fc.record({ command: only('ABORT_BACKUP'), result: fc.constant(undefined) }),
  LIST_BACKUPS: fc.record({
    command: only('LIST_BACKUPS'),
    result: fc.array(
      fc.record({
        backupId: orNone(anyId),
        label: anyText,
        workers: fc.nat(),
        bytes: anyCount,
        rate: anyCount,
        state: fc.constantFrom('running', 'stopping', 'stopped'),
        bytesExpected: orNone(anyCount),
      }),
    ),
  }),
}

const names = Object.keys(exchanges) as CommandName[]

test.each(names)('%s and its result are at the other end what they were', async (name) => {
  const anyCuts = fc.infiniteStream(fc.integer({ min: 1, max: 100 }))
  await fc.assert(
    fc.asyncProperty(exchanges[name], anyCuts, async (exchange: Exchange<CommandName>, cuts) => {
      const { command, result } = await speak(exchange, cuts)
      expect(command).toEqual(exchange.command)
      expect(joinBytes(result)).toEqual(joinBytes(exchange.result))
    }),
    { numRuns: 200 },
  )
})

/** What the other end has of each. */
async function speak<Name extends CommandName>(
  { command, result }: Exchange<Name>,
  cuts: Iterator<number>,
): Promise<{ readonly command: ReplicationCommand; readonly result: unknown }> {
  // What goes over a connection is bytes of UTF-8.
  const heard = parseCommand(Buffer.from(formatCommand(command)).toString())
  const isStream = command.command === 'SEND_FILE' || command.command === 'BUILD_MANIFEST'
  const given = isStream ? streamOf(result as readonly unknown[]) : result
  const { encode, decode } = commandContracts[command.command].result
  const sent = await answersTo(
    command.command,
    (output) => encode(given as CommandResults[Name], output),
    cuts,
  )
  const received: unknown = await decode(inBatches(sent, cuts), command)
  return {
    command: heard,
    result: isStream ? await listOf(received as AsyncIterable<unknown>) : received,
  }
}

async function* streamOf(items: readonly unknown[]): AsyncGenerator {
  for (const item of items) yield await Promise.resolve(item)
}

async function listOf(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const items: unknown[] = []
  for await (const item of stream) items.push(item)
  return items
}

/** What a client hears of an agent's answer: rows by way of the session's thread, the data of a COPY cut anywhere. */
async function answersTo(
  name: string,
  encode: (output: ResultOutput) => Promise<void>,
  cuts: Iterator<number>,
): Promise<readonly Answer[]> {
  const answers: Answer[] = []
  await encode({
    rows: (columns, rows) => {
      answers.push({ type: 'columns', names: columns.map((column) => column.name) })
      for (const row of unpackRows(packRows(columns.length, rows))) {
        const values = row.map((value) => (value === null ? null : decodePathname(Buffer.from(value))))
        answers.push({ type: 'row', values })
      }
    },
    part: (part) => {
      const bytes = part.type === 'bytes' ? Buffer.from(part.bytes) : Buffer.alloc(0)
      for (let at = 0; at < bytes.length;) {
        const length = Number(cuts.next().value)
        answers.push({ type: 'data', bytes: bytes.subarray(at, at + length) })
        at += length
      }
      if ('tag' in part) answers.push({ type: 'complete', tag: part.tag })
      return Promise.resolve()
    },
  })
  // Whatever has no tag of its own has its command's name for one.
  return answers.some(({ type }) => type === 'complete')
    ? answers
    : [...answers, { type: 'complete', tag: name }]
}

/** As many at a time as happen to be there. */
async function* inBatches(
  answers: readonly Answer[],
  cuts: Iterator<number>,
): AsyncGenerator<readonly Answer[]> {
  for (let at = 0; at < answers.length;) {
    const count = Number(cuts.next().value)
    yield await Promise.resolve(answers.slice(at, at + count))
    at += count
  }
}

/** The bytes of neighbours in one: into how many pieces they are cut, nobody promises. */
function joinBytes(value: unknown): unknown {
  if (!Array.isArray(value)) return value
  const joined: unknown[] = []
  for (const item of value as readonly unknown[]) {
    const bytes = bytesIn(item)
    const last = joined.at(-1)
    if (bytes === undefined) joined.push(item)
    else if (Buffer.isBuffer(last)) joined[joined.length - 1] = Buffer.concat([last, bytes])
    else if (bytes.length > 0) joined.push(bytes)
  }
  return joined
}

function bytesIn(item: unknown): Buffer | undefined {
  if (Buffer.isBuffer(item)) return item
  const { type, bytes } = item as Partial<Extract<SentFileEvent, { type: 'bytes' }>>
  return type === 'bytes' ? bytes : undefined
}
