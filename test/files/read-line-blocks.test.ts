import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLineBuffer, readLineBlocks } from '../../src/files/read-line-blocks.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

/** As the module reads. */
const chunk = 256 * 1024

let scratch: ScratchDirectory
let path: string

beforeAll(() => {
  scratch = createScratchDirectory()
  path = join(scratch.path, 'lines')
})

afterAll(() => scratch.remove())

async function linesOf(content: string, maxBytes = 2 * chunk): Promise<[string, boolean][]> {
  await writeFile(path, content)
  return Array.from(readLineBlocks(path, maxBytes), ({ bytes, isWhole }) => ({
    text: bytes.toString(),
    isWhole,
  })).flatMap(({ text, isWhole }) =>
    isWhole
      ? text
          .slice(0, -1)
          .split('\n')
          .map((line): [string, boolean] => [line, true])
      : [[text, false]],
  )
}

test.each([
  { name: 'no line', content: '', lines: [] },
  { name: 'one line', content: 'one\n', lines: [['one', true]] },
  { name: 'an empty line', content: '\n', lines: [['', true]] },
  {
    name: 'a line without its end',
    content: 'one\ntwo',
    lines: [
      ['one', true],
      ['two', false],
    ],
  },
  { name: 'a carriage return, which is part of the line', content: 'one\r\n', lines: [['one\r', true]] },
])('a file may hold $name', async ({ content, lines }) => {
  expect(await linesOf(content)).toEqual(lines)
})

test.each([-2, -1, 0, 1, 2])('a line may end %i bytes from the border of a chunk', async (distance) => {
  const first = 'a'.repeat(chunk + distance)
  expect(await linesOf(`${first}\nsecond\nthird`)).toEqual([
    [first, true],
    ['second', true],
    ['third', false],
  ])
})

test('lines are those that the file was made of', async () => {
  const line = fc.oneof(fc.constant(''), fc.constantFrom('a', 'bc', 'd'.repeat(100_000), 'e'.repeat(chunk)))
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), async (lines) => {
      const read = await linesOf(lines.map((text) => `${text}\n`).join(''))
      expect(read.every(([text, isWhole], index) => text === lines[index] && isWhole)).toBe(true)
      expect(read).toHaveLength(lines.length)
    }),
    { numRuns: 30 },
  )
})

test('a line that is too long is cut, and is the last, when its end is not in sight', async () => {
  expect(await linesOf(`short\n${'x'.repeat(3 * chunk)}\nafter\n`, 100)).toEqual([
    ['short', true],
    ['x'.repeat(100), false],
  ])
})

test('the memory of one file serves for the next', async () => {
  await writeFile(path, 'one\ntwo\n')
  const buffer = createLineBuffer(10)
  for (let round = 0; round < 2; round++) {
    const blocks = Array.from(readLineBlocks(path, 10, buffer), ({ bytes }) => bytes)
    expect(blocks.map(String)).toEqual(['one\ntwo\n'])
    expect(blocks[0]?.buffer).toBe(buffer.buffer)
  }
})
