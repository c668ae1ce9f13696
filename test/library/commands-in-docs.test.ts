import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { program } from '../../cli/command-table.js'
import { spellingsOf } from '../../cli/option-table.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = ['.', 'docs'].flatMap((directory) =>
  readdirSync(join(root, directory))
    .filter((name) => /\.(?:md|service)$/.test(name) && name !== 'CHANGELOG.md')
    .map((name) => join(directory, name)),
)

interface Call {
  readonly command: string
  readonly options: readonly string[]
}

/** What a page has somebody type: the command, and its long options, to the end of the shell's command. */
function callsIn(page: string): Call[] {
  const text = readFileSync(join(root, page), 'utf8').replaceAll(/\\\n[ >]*/g, '')
  return [...text.matchAll(/\bpbmanifest (--)?([a-z][a-z-]*)([^\n|;&`"#]*)/g)]
    .filter(([, dashes]) => dashes === undefined)
    .map(([, , command = '', rest = '']) => ({
      command,
      options: [...rest.matchAll(/(?<= )--([a-z][a-z-]*)/g)].map(([, name = '']) => name),
    }))
}

function optionsOf(name: string): string[] | undefined {
  const command = program.commands.find((command) => command.name === name)
  if (command === undefined) return undefined
  const table = { ...command.options, ...program.generalOptions }
  return Object.entries(table).flatMap(([name, option]) => spellingsOf(name, option).names)
}

test.each(pages)('what %s has people type is there', (page) => {
  const wrong = callsIn(page).flatMap(({ command, options }) => {
    const known = optionsOf(command)
    if (known === undefined) return options.length === 0 ? [] : [command]
    return options.filter((option) => !known.includes(option)).map((option) => `${command} --${option}`)
  })
  expect(wrong).toEqual([])
})

test('the pages have people type something', () => {
  const calls = pages.flatMap(callsIn).filter(({ command }) => optionsOf(command) !== undefined)
  expect(calls.length).toBeGreaterThan(30)
  expect(calls.flatMap(({ options }) => options).length).toBeGreaterThan(30)
})
