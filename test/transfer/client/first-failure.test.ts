import { describe, expect, test } from 'vitest'
import { FirstFailure } from '../../../src/transfer/client/first-failure.js'

const never = new Promise<never>(() => {})

describe('the first failure', () => {
  test('wins, fires the signal, and is what everybody who waits is told', async () => {
    const failure = new FirstFailure(undefined)
    const first = new Error('first')
    const waiting = [failure.waitFor(never), failure.waitFor(never)]
    expect([failure.hasFailed, failure.signal.aborted]).toEqual([false, false])
    failure.report(first)
    failure.report(new Error('second'))
    for (const wait of waiting) await expect(wait).rejects.toBe(first)
    await expect(failure.waitFor(Promise.resolve(1))).rejects.toBe(first)
    expect(failure.signal.aborted).toBe(true)
    expect(() => failure.throwIfFailed()).toThrow(first)
  })

  test('may be what was waited for', async () => {
    const failure = new FirstFailure(undefined)
    const error = new Error('broken')
    await expect(failure.waitFor(Promise.reject(error))).rejects.toBe(error)
    expect(failure.error).toBe(error)
  })

  test('does not leave alone what fails when nobody waits for it any more', async () => {
    const failure = new FirstFailure(undefined)
    const first = new Error('first')
    failure.report(first)
    // A rejection that nobody hears fails the run of the tests, as it would end the program.
    await expect(failure.waitFor(Promise.reject(new Error('later')))).rejects.toBe(first)
  })

  test('does not hold up what goes well', async () => {
    const failure = new FirstFailure(undefined)
    await expect(failure.waitFor(Promise.resolve('done'))).resolves.toBe('done')
    expect(failure.hasFailed).toBe(false)
  })

  test.each(['before', 'after'])('is the signal of the caller when that fires %s it is made', (when) => {
    const controller = new AbortController()
    if (when === 'before') controller.abort('SIGTERM')
    const failure = new FirstFailure(controller.signal)
    if (when === 'after') controller.abort('SIGTERM')
    expect(failure.error).toMatchObject({ code: 'ABORTED', cause: 'SIGTERM' })
  })

  test('forgets the signal of the caller once it is closed', () => {
    const controller = new AbortController()
    const failure = new FirstFailure(controller.signal)
    failure.close()
    controller.abort()
    expect(failure.hasFailed).toBe(false)
  })
})
