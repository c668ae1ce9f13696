import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CopyDataSplitter } from '../../../../src/transfer/cluster-files/sql/copy-data-splitter.js'
import { everyCut, message } from './copy-messages.js'

function split(chunks: readonly Buffer[]): { data: string; others: string } {
  const data: Buffer[] = []
  const others: Buffer[] = []
  const splitter = new CopyDataSplitter({
    copyData: (piece) => data.push(piece),
    otherBytes: (bytes) => others.push(bytes),
  })
  for (const chunk of chunks) splitter.push(chunk)
  return { data: Buffer.concat(data).toString('latin1'), others: Buffer.concat(others).toString('latin1') }
}

const copyOutResponse = message('H', Buffer.from([1, 0, 1, 0, 1]))
const commandComplete = message('C', Buffer.from('COPY 2\0'))
const readyForQuery = message('Z', Buffer.from('I'))

test('tells the data of COPY from all other messages, wherever the stream is cut', () => {
  const bytes = Buffer.concat([
    copyOutResponse,
    message('d', Buffer.from('first row')),
    message('N', Buffer.from('a notice between')),
    message('d', Buffer.alloc(0)),
    message('d', Buffer.from('second row')),
    message('c', Buffer.alloc(0)),
    commandComplete,
    readyForQuery,
  ])
  const expected = {
    data: 'first rowsecond row',
    others: Buffer.concat([
      copyOutResponse,
      message('N', Buffer.from('a notice between')),
      message('c', Buffer.alloc(0)),
      commandComplete,
      readyForQuery,
    ]).toString('latin1'),
  }
  for (const chunks of everyCut(bytes)) expect(split(chunks)).toEqual(expected)
})

function isData([type]: readonly [string, Uint8Array]): boolean {
  return type === 'd'
}

test('any messages, cut anywhere', () => {
  const messages = fc.array(
    fc.tuple(fc.constantFrom('d', 'd', 'N', 'C', 'Z'), fc.uint8Array({ maxLength: 40 })),
  )
  fc.assert(
    fc.property(messages, fc.array(fc.nat({ max: 300 })), (list, cuts) => {
      const bytes = Buffer.concat(list.map(([type, content]) => message(type, Buffer.from(content))))
      const places = [
        0,
        ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b),
        bytes.length,
      ]
      const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end))
      expect(split(chunks)).toEqual({
        data: Buffer.concat(list.filter(isData).map(([, content]) => content)).toString('latin1'),
        others: Buffer.concat(
          list.filter((item) => !isData(item)).map(([type, content]) => message(type, Buffer.from(content))),
        ).toString('latin1'),
      })
    }),
  )
})

test('gives slices, not copies, of large data', () => {
  const chunk = message('d', Buffer.alloc(1000, 7))
  const pieces: Buffer[] = []
  const splitter = new CopyDataSplitter({ copyData: (piece) => pieces.push(piece), otherBytes: () => {} })
  splitter.push(chunk)
  expect(pieces.map((piece) => piece.buffer === chunk.buffer)).toEqual([true])
})

test('refuses a length that no message has', () => {
  expect(() => split([Buffer.from([0x64, 0, 0, 0, 3])])).toThrow('lost synchronization with server')
})
