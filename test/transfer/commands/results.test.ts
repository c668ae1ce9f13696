import { describe, expect, test } from 'vitest'
import type { Answer, Value } from '../../../src/transfer/commands/command-contract.js'
import { commandContracts } from '../../../src/transfer/commands/commands.js'
import { parseSendFileTag } from '../../../src/transfer/commands/cluster-commands.js'
import { unsized } from '../../helpers/unsized.js'

async function* inBatches(...batches: readonly (readonly Answer[])[]): AsyncGenerator<readonly Answer[]> {
  for (const batch of batches) yield await Promise.resolve(batch)
}

function rows(names: readonly string[], ...values: readonly (readonly Value[])[]) {
  return inBatches(
    [{ type: 'columns', names }],
    values.map((values) => ({ type: 'row', values })),
    [{ type: 'complete', tag: 'X' }],
  )
}

const data = (text: string): Answer => ({ type: 'data', bytes: Buffer.from(text) })
const complete = (tag: string): Answer => ({ type: 'complete', tag })

async function sentFiles(pathnames: readonly string[], ...batches: readonly (readonly Answer[])[]) {
  const command = { command: 'SEND_FILE', files: unsized(...pathnames), verifyChecksums: true } as const
  const events = []
  for await (const event of await commandContracts.SEND_FILE.result.decode(inBatches(...batches), command))
    events.push(event)
  return events.map((event) => (event.type === 'bytes' ? event.bytes.toString() : event))
}

describe("an agent's rows", () => {
  const facts = {
    server_version_major: '18',
    // More than 2^63
    system_identifier: '18446744073709551615',
    wal_segment_size: '16777216',
    data_checksums: 't',
    group_access: 'f',
    in_recovery: 'f',
  }

  test('are read by the names of their columns, whatever their order', async () => {
    const entries = Object.entries({ ...facts, of_a_later_version: 'x' }).toReversed()
    const answers = rows(
      entries.map(([name]) => name),
      entries.map(([, value]) => value),
    )
    expect(
      await commandContracts.IDENTIFY_CLUSTER.result.decode(answers, { command: 'IDENTIFY_CLUSTER' }),
    ).toEqual({
      majorVersion: 18,
      systemIdentifier: 18_446_744_073_709_551_615n,
      walSegmentSize: 16_777_216,
      hasDataChecksums: true,
      hasGroupAccess: false,
      isInRecovery: false,
    })
  })

  test('give names and labels back as the bytes that they are', async () => {
    const stop = rows(
      ['end_lsn', 'timeline', 'backup_label', 'tablespace_map', 'checksum_failures'],
      ['1/2000028', '3', 'LABEL: caf\udce9\n', '', '2'],
    )
    expect(
      await commandContracts.STOP_BACKUP.result.decode(stop, { command: 'STOP_BACKUP', wait: true }),
    ).toEqual({
      endLsn: 0x1_0200_0028n,
      endTimeline: 3,
      backupLabel: Buffer.from('LABEL: caf\u00e9\n', 'latin1'),
      tablespaceMap: Buffer.alloc(0),
      checksumFailures: 2,
    })
  })

  test('may be of files older than time', async () => {
    const answers = rows(['pathname', 'kind', 'size', 'modified'], ['caf\udce9', 'file', '3', '-1'])
    const command = { command: 'LIST_FILES', tablespace: undefined } as const
    expect(await commandContracts.LIST_FILES.result.decode(answers, command)).toEqual([
      { pathname: 'caf\udce9', kind: 'file', size: 3, modified: -1 },
    ])
  })

  test.each([
    ['0640', 0o640],
    ['0000', 0],
    [null, undefined],
  ])('may tell the mode %s', async (mode, expected) => {
    const answers = rows(['pathname', 'kind', 'size', 'modified', 'mode'], ['a', 'file', '3', '1', mode])
    const [file] = await commandContracts.LIST_FILES.result.decode(answers, {
      command: 'LIST_FILES',
      tablespace: undefined,
    })
    expect(file?.mode).toBe(expected)
  })

  test.each(['4755', '640', '0888', '-640', ''])('may not tell the mode "%s"', async (mode) => {
    const answers = rows(['pathname', 'kind', 'size', 'modified', 'mode'], ['a', 'file', '3', '1', mode])
    await expect(
      commandContracts.LIST_FILES.result.decode(answers, { command: 'LIST_FILES', tablespace: undefined }),
    ).rejects.toThrow('the value of column "mode" makes no sense')
  })

  test('may lack an OID and a size', async () => {
    const answers = rows(['oid', 'location', 'bytes'], ['16384', '/srv/ts', '10'], [null, '', null])
    const command = { command: 'LIST_TABLESPACES', progress: false } as const
    expect(await commandContracts.LIST_TABLESPACES.result.decode(answers, command)).toEqual([
      { oid: 16_384, location: '/srv/ts', bytes: 10 },
      { oid: undefined, location: '', bytes: undefined },
    ])
  })

  test.each([
    ['no row', rows(Object.keys(facts))],
    ['two rows', rows(Object.keys(facts), Object.values(facts), Object.values(facts))],
    ['a column less', rows(Object.keys(facts).slice(1), Object.values(facts).slice(1))],
    ['no segment size', rows(Object.keys(facts), Object.values({ ...facts, wal_segment_size: '0' }))],
    [
      'a huge segment size',
      rows(Object.keys(facts), Object.values({ ...facts, wal_segment_size: String(2 ** 40) })),
    ],
    ['a null', rows(Object.keys(facts), [null, ...Object.values(facts).slice(1)])],
    ['a negative number', rows(Object.keys(facts), ['-1', ...Object.values(facts).slice(1)])],
    ['a huge number', rows(Object.keys(facts), ['9007199254740993', ...Object.values(facts).slice(1)])],
    ['no boolean', rows(Object.keys(facts), [...Object.values(facts).slice(0, 5), 'true'])],
    ['no rows at all', inBatches()],
  ])('are refused: %s', async (_what, answers) => {
    await expect(
      commandContracts.IDENTIFY_CLUSTER.result.decode(answers, { command: 'IDENTIFY_CLUSTER' }),
    ).rejects.toMatchObject({
      code: 'SERVER',
      message: expect.stringMatching(/^the agent does not keep to the protocol: /),
    })
  })
})

describe('the files of SEND_FILE', () => {
  test('are the data between the ends, however it is cut', async () => {
    const end = { type: 'end', size: 2, modified: 1_700_000_000, checksum: 'ab12cd34', throttledMs: 7 }
    const tag = complete('SEND_FILE 2 1700000000 ab12cd34 7')
    const expected = [
      { type: 'file', pathname: 'a' },
      '1',
      '2',
      end,
      { type: 'vanished', pathname: 'gone' },
      { type: 'file', pathname: 'empty' },
      { ...end, size: 0, modified: -1, checksum: undefined, throttledMs: 0 },
    ]
    const answers = [
      data('1'),
      data('2'),
      tag,
      complete('SEND_FILE vanished'),
      complete('SEND_FILE 0 -1 - 0'),
    ]
    const pathnames = ['a', 'gone', 'empty']
    expect(await sentFiles(pathnames, answers)).toEqual(expected)
    expect(await sentFiles(pathnames, ...answers.map((answer) => [answer]))).toEqual(expected)
  })

  test.each([
    ['one too few', ['a', 'b'], [complete('SEND_FILE 0 0 - 0')]],
    ['one too many', ['a'], [complete('SEND_FILE 0 0 - 0'), complete('SEND_FILE 0 0 - 0')]],
    ['data of none', ['a'], [complete('SEND_FILE 0 0 - 0'), data('x')]],
    ['data of one that vanished', ['a'], [data('x'), complete('SEND_FILE vanished')]],
    ['one without an end', ['a'], [data('x')]],
    ['another command', ['a'], [complete('SELECT 1')]],
  ])('are refused: %s', async (_what, pathnames, answers) => {
    await expect(sentFiles(pathnames, answers)).rejects.toMatchObject({ code: 'SERVER' })
  })

  test.each([
    ['SEND_FILE'],
    ['SEND_FILE 1 2 3'],
    ['SEND_FILE -1 0 - 0'],
    ['SEND_FILE 1 0 xyz 0'],
    ['SEND_FILE 1 0 - 0 0'],
    ['SEND_FILE vanished 1'],
    ['SEND_FILE 12345678901234567 0 - 0'],
  ])('do not end with "%s"', (tag) => {
    expect(() => parseSendFileTag(tag)).toThrow(`"${tag}" is no end of a file`)
  })
})
