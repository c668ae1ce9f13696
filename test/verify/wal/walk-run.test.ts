import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Yielder } from '../../../src/files/yielder.js'
import { runYielding } from '../../../src/verify/wal/walk-run.js'
import type { PartResult } from '../../../src/verify/wal/walk-part.js'

const found: PartResult = {
  records: 7,
  first: undefined,
  position: undefined,
  isDone: true,
  fault: undefined,
  touches: undefined,
}

/** Long enough for a rejection that nobody waits for to be told. */
async function aWhile(): Promise<void> {
  await setImmediate()
  await setImmediate()
}

test('a read that fails before the walk waits for it is told to the walk, and to nobody else', async () => {
  const heard: unknown[] = []
  // It would end a program.
  const onUnhandled = (error: unknown): void => void heard.push({ unhandled: error })
  process.on('unhandledRejection', onUnhandled)
  const damaged = new Error('its zstd data are damaged')
  function* walk(): Generator<Promise<number>, PartResult, number> {
    try {
      yield Promise.reject(damaged)
    } catch (error) {
      heard.push(error)
    }
    return found
  }
  try {
    expect(await runYielding(walk(), new Yielder(undefined), aWhile)).toBe(found)
  } finally {
    process.off('unhandledRejection', onUnhandled)
  }
  expect(heard).toEqual([damaged])
})
