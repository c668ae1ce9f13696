import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Clock, TokenBucket } from '../../../src/transfer/session/backup.js'

/** A clock that goes on when everybody sleeps, and not before. */
class SimulatedClock implements Clock {
  #now = 5_000_000_000n
  readonly #sleepers: { readonly at: bigint; readonly wake: () => void }[] = []

  readonly now = (): bigint => this.#now

  readonly sleep = (milliseconds: number): Promise<void> =>
    new Promise((wake) => {
      this.#sleepers.push({ at: this.#now + BigInt(milliseconds) * 1_000_000n, wake })
    })

  /** Wakes one after the other until the work is done. */
  async run(work: Promise<unknown>): Promise<void> {
    let isDone = false
    void work.finally(() => {
      isDone = true
    })
    for (;;) {
      // All that can go on without time going on.
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
      if (isDone) return
      const next = this.#sleepers.toSorted((left, right) => Number(left.at - right.at))[0]
      if (next === undefined) continue
      this.#sleepers.splice(this.#sleepers.indexOf(next), 1)
      this.#now = next.at > this.#now ? next.at : this.#now
      next.wake()
    }
  }

  advance(seconds: number): void {
    this.#now += BigInt(seconds) * 1_000_000_000n
  }
}

function sharedMemory(clock: Clock): BigInt64Array {
  const memory = new BigInt64Array(new SharedArrayBuffer(8))
  memory[0] = clock.now()
  return memory
}

function secondsSince(clock: Clock, start: bigint): number {
  return Number(clock.now() - start) / 1e9
}

test('holds any number of takers to the rate together, within 5 %', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 32, max: 1_048_576 }),
      fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 6 }),
      async (rate, shares) => {
        const clock = new SimulatedClock()
        const memory = sharedMemory(clock)
        const start = clock.now()
        const total = rate * 1024 * 10
        const sum = shares.reduce((all, share) => all + share, 0)
        // Each has a bucket of its own, as in a thread of its own: only the memory is shared.
        const takers = shares.map(async (share) => {
          const bucket = new TokenBucket(memory, rate, () => false, clock)
          let left = Math.floor((total * share) / sum)
          while (left > 0) {
            const piece = Math.min(left, bucket.pieceBytes)
            await bucket.take(piece, undefined)
            left -= piece
          }
        })
        await clock.run(Promise.all(takers))
        expect(secondsSince(clock, start)).toBeGreaterThan(9.5)
        expect(secondsSince(clock, start)).toBeLessThan(10.5)
      },
    ),
    { numRuns: 30 },
  )
})

test('gives turns in the order of asking', async () => {
  const clock = new SimulatedClock()
  const memory = sharedMemory(clock)
  const order: number[] = []
  const takers = [3, 1, 2].map(async (taker) => {
    const bucket = new TokenBucket(memory, 100, () => false, clock)
    await bucket.take(100 * 1024, undefined)
    order.push(taker)
  })
  await clock.run(Promise.all(takers))
  expect(order).toEqual([3, 1, 2])
})

test('saves up no more than an eighth of a second in a pause', async () => {
  const clock = new SimulatedClock()
  const bucket = new TokenBucket(sharedMemory(clock), 1024, () => false, clock)
  clock.advance(3600)
  const start = clock.now()
  await clock.run(bucket.take(1024 * 1024, undefined))
  expect(secondsSince(clock, start)).toBeCloseTo(0.875, 2)
})

test('says how long it took', async () => {
  const clock = new SimulatedClock()
  const bucket = new TokenBucket(sharedMemory(clock), 1024, () => false, clock)
  clock.advance(1)
  const waits: number[] = []
  await clock.run(
    (async () => {
      for (const bytes of [1024, 1024 * 1024]) waits.push(Number(await bucket.take(bytes, undefined)) / 1e9)
    })(),
  )
  expect(waits[0]).toBe(0)
  expect(waits[1]).toBeCloseTo(0.876, 2)
})

test('lets nobody wait when the backup is over', async () => {
  const clock = new SimulatedClock()
  let isOver = false
  const bucket = new TokenBucket(sharedMemory(clock), 32, () => isOver, clock)
  const start = clock.now()
  const taken = bucket.take(1024 ** 3, undefined)
  isOver = true
  await clock.run(taken)
  expect(secondsSince(clock, start)).toBeLessThan(1)
})

test('ends a wait that is aborted, with the clock of the machine', async () => {
  const controller = new AbortController()
  const memory = new BigInt64Array(new SharedArrayBuffer(8))
  const bucket = new TokenBucket(memory, 32, () => false)
  const taken = bucket.take(1024 ** 3, controller.signal)
  controller.abort()
  await expect(taken).rejects.toMatchObject({ code: 'ABORTED' })
})

test.each([
  [32, 8192],
  [1000, 122_880],
  [1_048_576, 134_217_728],
])('takes pieces of whole pages at %i kB/s', (rate, bytes) => {
  const bucket = new TokenBucket(new BigInt64Array(new SharedArrayBuffer(8)), rate, () => false)
  expect(bucket.pieceBytes).toBe(bytes)
})
