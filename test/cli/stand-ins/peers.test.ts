import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { formatOptionPage } from '../../../cli/stand-ins/option-page.js'
import { optionTableOf, type Peer, peers } from '../../../cli/stand-ins/peers.js'
import { postgresVersions } from '../../../src/postgres/versions.js'
import { standInVersion } from '../../../src/version.js'
import { spellingsOf } from '../../../cli/option-table.js'

const page = readFileSync(new URL('../../../docs/replicas.md', import.meta.url), 'utf8')

/** A table, whatever its columns are padded with. */
function withoutPadding(text: string): string {
  return text.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---')
}

describe.each(Object.values(peers))('the options of $name', (peer: Peer) => {
  test('stand in docs/replicas.md as they are: "npm run options" puts them there', () => {
    expect(withoutPadding(page)).toContain(withoutPadding(formatOptionPage(peer)))
  })

  test('have the same letters and names here', () => {
    const spellings = Object.entries(optionTableOf(peer)).map(([name, option]) => spellingsOf(name, option))
    const letters = spellings.flatMap(({ letters }) => letters)
    expect(new Set(letters).size).toBe(letters.length)
    const differing = peer.options.filter(({ letter, name, ours }) => {
      const found = spellings.find(({ names }) => names.includes(name))
      const isSame = letter === undefined || found?.letters.includes(letter)
      return found !== undefined && !(isSame && found.names.includes(ours ?? name))
    })
    expect(differing).toEqual([])
  })

  test('that we do not have are refused by name, or told of', () => {
    const table = optionTableOf(peer)
    const { refused = {} } = peer.command
    const missing = peer.options.filter(({ name, ours }) => table[ours ?? name] === undefined)
    expect(missing.filter(({ name }) => refused[`--${name}`] === undefined)).toEqual([])
  })

  test('that the environment has are ours, and none of the peer', () => {
    const table = optionTableOf(peer)
    for (const name of Object.values(peer.variables)) {
      expect(peer.command.options[name]).toBeDefined()
      expect(table[name]).toBeUndefined()
    }
  })
})

test('the version that we say we stand in for is the newest release', () => {
  const released = postgresVersions.filter(({ isPrerelease }) => !isPrerelease)
  expect(standInVersion).toBe(`${Math.max(...released.map(({ major }) => major))}.0`)
})
