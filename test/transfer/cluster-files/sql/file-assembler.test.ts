import { expect, test } from 'vitest'
import { ownPathname } from '../../../../src/files/safe-pathname.js'
import type { ClusterFile, FileEvent } from '../../../../src/transfer/cluster-files/cluster-files.js'
import { BinaryCopyParser } from '../../../../src/transfer/cluster-files/sql/binary-copy-parser.js'
import { readInt8 } from '../../../../src/transfer/cluster-files/sql/copied-rows.js'
import { FileAssembler } from '../../../../src/transfer/cluster-files/sql/file-assembler.js'
import { CHUNK_BYTES, READ_COLUMNS } from '../../../../src/transfer/cluster-files/sql/read-steps.js'
import { binaryCopy, int8 } from './copy-messages.js'

function file(pathname: string): ClusterFile {
  return { pathname: ownPathname(pathname), kind: 'file', size: 1, modified: 0 }
}

function number(value: number | null): Buffer | null {
  return value === null ? null : int8(value)
}

function row(place: number, size: number | null, at: number | null, bytes: Buffer | null): (Buffer | null)[] {
  return [int8(place), number(size), int8(5), number(at), bytes]
}

/** What a query gave, as far as its stream got. */
function feed(assembler: FileAssembler, rows: readonly (Buffer | null)[][], cut = Infinity): void {
  const parser = new BinaryCopyParser(READ_COLUMNS, assembler)
  parser.push(binaryCopy(rows).subarray(0, cut))
}

/** The events in short: bytes only by how many, and whether all are zeros. */
function take(assembler: FileAssembler): string[] {
  return assembler.takeEvents().map((event) => {
    switch (event.type) {
      case 'file':
        return `file ${event.pathname} ${String(event.size)} at ${String(event.modified)}`
      case 'bytes':
        return `${String(event.bytes.length)} ${event.bytes.every((byte) => byte === 0) ? 'zeros' : 'bytes'}`
      case 'end':
        return 'end'
      case 'vanished':
        return `vanished ${event.pathname}`
      default:
        return event satisfies never
    }
  })
}

const chunk = Buffer.alloc(CHUNK_BYTES, 1)

test('makes files of rows', () => {
  const assembler = new FileAssembler([file('a'), file('b'), file('c')], Infinity)
  expect(assembler.nextStep()).toEqual({ kind: 'begin', pathnames: ['a', 'b', 'c'], limit: Infinity })
  feed(assembler, [
    row(1, CHUNK_BYTES + 3, 0, chunk),
    row(1, CHUNK_BYTES + 3, CHUNK_BYTES, Buffer.from('end')),
    row(2, 0, null, null),
    row(3, 2, 0, Buffer.from('cc')),
  ])
  expect(take(assembler)).toEqual([
    `file a ${String(CHUNK_BYTES + 3)} at 5`,
    `${String(CHUNK_BYTES)} bytes`,
    '3 bytes',
    'end',
    'file b 0 at 5',
    'end',
    'file c 2 at 5',
    '2 bytes',
    'end',
  ])
  expect(assembler.nextStep()).toBeUndefined()
})

test('fills up with zeros what a file lost since its size was taken', () => {
  const assembler = new FileAssembler([file('a'), file('b')], Infinity)
  assembler.nextStep()
  feed(assembler, [
    row(1, CHUNK_BYTES + 3, 0, Buffer.from('short')),
    // Gone meanwhile.
    row(1, CHUNK_BYTES + 3, CHUNK_BYTES, null),
    row(2, 1, 0, Buffer.from('b')),
  ])
  const events = take(assembler)
  const bytes = events
    .map((event) => /^([0-9]+) (bytes|zeros)$/.exec(event))
    .filter((found) => found !== null)
  expect(events.at(0)).toBe(`file a ${String(CHUNK_BYTES + 3)} at 5`)
  expect(bytes.slice(0, -1).reduce((sum, [, count]) => sum + Number(count), 0)).toBe(CHUNK_BYTES + 3)
  expect(bytes.map(([, , kind]) => kind)).toEqual([
    'bytes',
    'zeros',
    'zeros',
    'zeros',
    'zeros',
    'zeros',
    'bytes',
  ])
  expect(events.slice(-4)).toEqual(['end', 'file b 1 at 5', '1 bytes', 'end'])
})

test('tells of files that are gone before they could be opened, once', () => {
  const assembler = new FileAssembler([file('a'), file('b'), file('c')], Infinity)
  assembler.nextStep()
  feed(assembler, [
    row(1, null, null, null),
    // There when its status was taken; made again later.
    row(2, CHUNK_BYTES + 1, 0, null),
    row(2, CHUNK_BYTES + 1, CHUNK_BYTES, Buffer.from('x')),
    row(3, 1, 0, Buffer.from('c')),
  ])
  expect(take(assembler)).toEqual(['vanished a', 'vanished b', 'file c 1 at 5', '1 bytes', 'end'])
  expect(assembler.nextStep()).toBeUndefined()
})

test('goes on behind the last byte of a large file after a query that was cut short', () => {
  const assembler = new FileAssembler([file('a'), file('b'), file('c')], Infinity)
  assembler.nextStep()
  const size = CHUNK_BYTES + 9
  const rows = [
    row(1, 1, 0, Buffer.from('a')),
    row(2, size, 0, chunk),
    row(2, size, CHUNK_BYTES, Buffer.from('123456789')),
  ]
  feed(assembler, rows, binaryCopy(rows).length - 6)
  expect(take(assembler)).toEqual([
    'file a 1 at 5',
    '1 bytes',
    'end',
    `file b ${size} at 5`,
    `${CHUNK_BYTES} bytes`,
    '5 bytes',
  ])
  expect(assembler.nextStep()).toEqual({
    kind: 'continue',
    pathname: 'b',
    offset: CHUNK_BYTES + 5,
    end: size,
  })
  feed(assembler, [row(1, null, CHUNK_BYTES + 5, Buffer.from('6789'))])
  expect(take(assembler)).toEqual(['4 bytes', 'end'])
  expect(assembler.nextStep()).toEqual({ kind: 'begin', pathnames: ['c'], limit: Infinity })
  feed(assembler, [row(1, 1, 0, Buffer.from('c'))])
  expect(take(assembler)).toEqual(['file c 1 at 5', '1 bytes', 'end'])
})

test('reads a file that one row has as it is at one moment, whenever a query is cut, and however its bytes come', () => {
  const old = [row(1, 1, 0, Buffer.from('a')), row(2, 9, 0, Buffer.from('123456789'))]
  const bytes = binaryCopy(old)
  for (let cut = 0; cut < bytes.length; cut++) {
    const assembler = new FileAssembler([file('a'), file('b')], Infinity)
    const events: FileEvent[] = []
    const parser = new BinaryCopyParser(READ_COLUMNS, assembler)
    assembler.nextStep()
    for (let at = 0; at < cut; at += 3) {
      // The memory of what comes is used again.
      const piece = Buffer.from(bytes.subarray(at, Math.min(at + 3, cut)))
      parser.push(piece)
      events.push(...assembler.takeEvents().map(withOwnBytes))
      piece.fill(0)
    }
    // Meanwhile it was replaced.
    const step = assembler.nextStep()
    if (step?.kind === 'begin') {
      const rows = step.pathnames.map((name, place) => row(place + 1, 3, 0, Buffer.from(name.repeat(3))))
      feed(assembler, rows)
      events.push(...assembler.takeEvents())
    }
    const read = Buffer.concat(events.flatMap((event) => (event.type === 'bytes' ? [event.bytes] : [])))
    expect(['aaabbb', 'abbb', 'a123456789']).toContain(read.toString())
    expect(events.filter(({ type }) => type === 'file')).toHaveLength(2)
    expect(assembler.nextStep()).toBeUndefined()
  }
})

function withOwnBytes(event: FileEvent): FileEvent {
  return event.type === 'bytes' ? { type: 'bytes', bytes: Buffer.from(event.bytes) } : event
}

test('reads a large file in several steps', () => {
  const size = 2 * CHUNK_BYTES + 1
  const assembler = new FileAssembler([file('a')], CHUNK_BYTES)
  assembler.nextStep()
  feed(assembler, [row(1, size, 0, chunk)])
  expect(assembler.nextStep()).toMatchObject({ kind: 'continue', offset: CHUNK_BYTES, end: 2 * CHUNK_BYTES })
  feed(assembler, [row(1, null, CHUNK_BYTES, chunk)])
  expect(assembler.nextStep()).toMatchObject({ kind: 'continue', offset: 2 * CHUNK_BYTES, end: size })
  feed(assembler, [row(1, null, 2 * CHUNK_BYTES, Buffer.from('x'))])
  expect(take(assembler).slice(-2)).toEqual(['1 bytes', 'end'])
  expect(assembler.nextStep()).toBeUndefined()
})

test.each([
  ['a place that was not asked for', [row(2, 1, 0, Buffer.from('x'))]],
  ['a gap', [row(1, 3 * CHUNK_BYTES, 0, chunk), row(1, 3 * CHUNK_BYTES, 2 * CHUNK_BYTES, chunk)]],
])('refuses rows with %s', (_what, rows) => {
  const assembler = new FileAssembler([file('a')], Infinity)
  assembler.nextStep()
  expect(() => feed(assembler, rows)).toThrow('the rows of COPY are not in order')
})

test.each([
  ['a negative size', [row(1, -5, 0, chunk)], 'a file has a negative size'],
  ['more than the file has', [row(1, 10, 0, chunk)], 'more of a file came than was asked for'],
  [
    'more than a row may have',
    [row(1, 10 * CHUNK_BYTES, 0, Buffer.concat([chunk, chunk]))],
    'more of a file came',
  ],
  ['nothing of it', [], 'the server says nothing of the files that it was asked for'],
] as const)('a server that tells %s is refused', (_what, rows, expected) => {
  const assembler = new FileAssembler([file('a')], Infinity)
  assembler.nextStep()
  expect(() => {
    feed(assembler, rows)
    assembler.requireProgress()
  }).toThrow(expect.objectContaining({ code: 'SERVER', message: expect.stringContaining(expected) }))
})

test.each([2n ** 62n, -(2n ** 63n)])('a number that no file has is refused: %i', (value) => {
  const field = Buffer.alloc(8)
  field.writeBigInt64BE(value)
  expect(() => readInt8(field)).toThrow(expect.objectContaining({ code: 'SERVER' }))
})
