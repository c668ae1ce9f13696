import { expect, test } from 'vitest'
import { ConnectionPlaces, type Place } from '../../../../src/transfer/wire/server/connection-places.js'

function makePlaces(limits: { maxConnections: number; maxUnauthenticated: number }): {
  readonly dropped: string[]
  readonly enter: (name: string, host?: string) => Place
} {
  const places = new ConnectionPlaces(limits)
  const dropped: string[] = []
  return { dropped, enter: (name, host = 'here') => places.enter({ host, drop: () => dropped.push(name) }) }
}

test('strangers of the host that has the most make room, the oldest first', () => {
  const { dropped, enter } = makePlaces({ maxConnections: 9, maxUnauthenticated: 3 })
  enter('guest', 'elsewhere')
  for (const name of ['a', 'b', 'c', 'd', 'e']) enter(name, 'flood')
  expect(dropped).toEqual(['a', 'b', 'c'])
})

test('who was let in, or is gone, takes no place of a stranger', () => {
  const { dropped, enter } = makePlaces({ maxConnections: 9, maxUnauthenticated: 2 })
  enter('a').admit()
  enter('b').leave()
  enter('c')
  enter('d')
  expect(dropped).toEqual([])
  enter('e')
  expect(dropped).toEqual(['c'])
})

test('so many are let in, and the next when one has left', () => {
  const { dropped, enter } = makePlaces({ maxConnections: 2, maxUnauthenticated: 9 })
  const first = enter('a')
  first.admit()
  enter('b').admit()
  const third = enter('c')
  expect(() => third.admit()).toThrow('sorry, too many clients already')
  first.leave()
  third.admit()
  expect(dropped).toEqual([])
})
