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
  const { stop } = watchSignals(process, false)
  expect(stopSignalOf(stop)).toBeUndefined()
  process.emit(name)
  expect(stopSignalOf(stop)).toBe(name)
  expect(process.exits).toEqual([])
  expect(() => process.emit(name)).toThrow('exit')
  expect(process.exits).toEqual([status])
})

test('when the terminal closes, SIGHUP aborts; further ones, before or after another signal, change nothing', () => {
  const process = new FakeProcess()
  const { stop } = watchSignals(process, true)
  process.emit('SIGHUP')
  expect(stopSignalOf(stop)).toBe('SIGHUP')
  process.emit('SIGHUP')
  process.emit('SIGTERM')
  process.emit('SIGHUP')
  expect(stopSignalOf(stop)).toBe('SIGHUP')
  expect(process.exits).toEqual([])
  expect(() => process.emit('SIGTERM')).toThrow('exit')
})

test('without a terminal, SIGHUP is ignored', () => {
  const process = new FakeProcess()
  const { stop } = watchSignals(process, false)
  process.emit('SIGHUP')
  expect(stop.aborted).toBe(false)
})

test('a command may give SIGHUP another meaning', () => {
  const process = new FakeProcess()
  const { stop, onHangup } = watchSignals(process, true)
  let reloads = 0
  onHangup(() => reloads++)
  process.emit('SIGHUP')
  process.emit('SIGHUP')
  expect(reloads).toBe(2)
  expect(stop.aborted).toBe(false)
})

test('a command may give a second signal another meaning; a third one ends it', () => {
  const process = new FakeProcess()
  const { stop, onSecondStop } = watchSignals(process, true)
  let seconds = 0
  onSecondStop(() => seconds++)
  process.emit('SIGTERM')
  expect(seconds).toBe(0)
  expect(stop.aborted).toBe(true)
  process.emit('SIGTERM')
  expect(seconds).toBe(1)
  expect(process.exits).toEqual([])
  expect(() => process.emit('SIGTERM')).toThrow('exit')
  expect(process.exits).toEqual([143])
})
