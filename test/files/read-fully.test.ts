import { closeSync, openSync, readSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type ReadCall, readExactly, readFully, readSome } from '../../src/files/read-fully.js'
import { readSmallFile } from '../../src/files/read-small-file.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

const content = Buffer.from('0123456789abcdefghij')

let scratch: ScratchDirectory
let path: string

beforeEach(() => {
  scratch = createScratchDirectory()
  path = `${scratch.path}/file`
  writeFileSync(path, content)
})

afterEach(() => scratch.remove())

function openFile(): number {
  const descriptor = openSync(path, 'r')
  onTestFinished(() => closeSync(descriptor))
  return descriptor
}

/** Gives no more than so many bytes at a time, over and over, as a file system over a network may. */
function inPieces(...sizes: readonly number[]): ReadCall {
  let call = 0
  return (descriptor, buffer, offset, length, position) =>
    readSync(descriptor, buffer, offset, Math.min(length, sizes[call++ % sizes.length] ?? 1), position)
}

/** As of a file that was cut in the middle. */
function untilSeven(...[descriptor, buffer, offset, length, position]: Parameters<ReadCall>): number {
  return (position ?? 0) >= 7 ? 0 : readSync(descriptor, buffer, offset, Math.min(length, 7), position)
}

function systemError(code: string, errno: number): Error {
  return Object.assign(new Error(code), { code, errno, syscall: 'read' })
}

/** Fails so often before it reads. */
function failing(times: number, error: Error): ReadCall {
  let failures = 0
  return (...args) => {
    if (failures++ < times) throw error
    return readSync(...args)
  }
}

/** Every way to cut the content in two, and others. */
const cuts = [...Array.from({ length: content.length - 1 }, (_, at) => [at + 1]), [1], [3, 1], [19, 1, 7]]

describe('a file that is read in pieces', () => {
  test.each(cuts)('is read on after %d bytes', (...sizes) => {
    for (const position of [0, 5, null]) {
      const buffer = Buffer.alloc(12)
      const from = position ?? 0
      expect(readFully(openFile(), buffer, position, inPieces(...sizes))).toBe(12)
      expect(buffer.toString()).toBe(content.toString('latin1', from, from + 12))
    }
    expect(readSmallFile(path, 100, inPieces(...sizes))).toEqual(content)
  })

  test('has an end', () => {
    const buffer = Buffer.alloc(30)
    expect(readFully(openFile(), buffer, 15, inPieces(2))).toBe(5)
    expect(buffer.toString('latin1', 0, 5)).toBe('fghij')
    expect(readFully(openFile(), buffer, 20, inPieces(2))).toBe(0)
    expect(readFully(openFile(), Buffer.alloc(0), 0)).toBe(0)
  })

  test('that ends early is an error that says so, and no part of it is taken for the whole', () => {
    const message = `could not read file "${path}": read 5 of 30`
    expect(() => readExactly(path, openFile(), Buffer.alloc(30), 15, inPieces(4))).toThrow(
      expect.objectContaining({ code: 'IO', message }),
    )
    expect(() => readSmallFile(path, 100, untilSeven)).toThrow(`could not read file "${path}": read 7 of 20`)
  })
})

describe('a read that fails', () => {
  test.each([
    ['EAGAIN', -11],
    ['EINTR', -4],
  ])('with %s is repeated', (code, errno) => {
    const buffer = Buffer.alloc(20)
    expect(readFully(openFile(), buffer, 0, failing(3, systemError(code, errno)))).toBe(20)
    expect(buffer).toEqual(content)
    expect(readSome(openFile(), buffer, 0, 4, 0, failing(1, systemError(code, errno)))).toBe(4)
  })

  test.each([
    ['ENOMEM', -12, 'Cannot allocate memory'],
    ['EIO', -5, 'Input/output error'],
  ])('with %s is an error, not a short file', (code, errno, words) => {
    expect(() => readSmallFile(path, 100, failing(1, systemError(code, errno)))).toThrow(
      expect.objectContaining({ code: 'IO', message: `could not read file "${path}": ${words}` }),
    )
  })
})
