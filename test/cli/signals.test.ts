import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { stopSignalOf, watchSignals } from '../../cli/signals.js'

class FakeProcess extends EventEmitter {
  readonly exits: number[] = []
  exit(status: number): never {
    this.exits.push(status)
    throw new Error('exit')
  }
}

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s aborts, and a second one exits at once with %d', (name, status) => {
  const process = new FakeProcess()
  const signal = watchSignals(process)
  expect(stopSignalOf(signal)).toBeUndefined()
  process.emit(name)
  expect(stopSignalOf(signal)).toBe(name)
  expect(process.exits).toEqual([])
  expect(() => process.emit(name)).toThrow('exit')
  expect(process.exits).toEqual([status])
})
