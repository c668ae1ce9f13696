import { expect, test } from 'vitest'
import { ThreadDemand, threadsWhereWaiting } from '../../../src/verify/plain/storage-watch.js'

const MEBIBYTE = 1024 * 1024

function demandOf(files: number, bytesOfEach: number, compared = 0): ThreadDemand {
  const demand = new ThreadDemand()
  for (let file = 0; file < files; file++) demand.addReading(bytesOfEach)
  for (let file = 0; file < compared; file++) demand.addComparing()
  return demand
}

test('no work needs no thread, the least work one', () => {
  expect(demandOf(0, 0).threads).toBe(0)
  expect(demandOf(1, 0).threads).toBe(1)
  expect(demandOf(0, 0, 1).threads).toBe(1)
})

test('many files, or many bytes, are worth several', () => {
  expect(demandOf(2000, 8192).threads).toBe(1)
  expect(demandOf(2001, 8192).threads).toBe(2)
  expect(demandOf(4, 1024 * MEBIBYTE).threads).toBe(64)
})

test('files that are only looked at count little', () => {
  expect(demandOf(0, 0, 60_000).threads).toBe(1)
  expect(demandOf(1000, 0, 60_000).threads).toBe(2)
})

test('where storage is waited for, there are twice as many for enough files or bytes, and no more than files', () => {
  expect(threadsWhereWaiting(2, 128, 0)).toBe(4)
  expect(threadsWhereWaiting(2, 127, 0)).toBe(2)
  expect(threadsWhereWaiting(2, 1, 128 * MEBIBYTE)).toBe(3)
})
