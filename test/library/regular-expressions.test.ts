import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from 'rolldown/utils'
import { analyse } from 'scslre'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** What is wrong with a regular expression: in how many ways its time is not linear in the length of the text. */
function judge(source: string, flags: string): number {
  return analyse({ source, flags }, { reportTypes: { Move: true, Self: true, Trade: true } }).reports.length
}

interface Expression {
  readonly pattern: string
  readonly flags: string
}

function expressionsIn(node: unknown): Expression[] {
  if (Array.isArray(node)) return node.flatMap(expressionsIn)
  if (typeof node !== 'object' || node === null) return []
  if ('regex' in node && node.regex !== null) return [node.regex as Expression]
  return Object.values(node).flatMap(expressionsIn)
}

test.each([
  [String.raw`\s*[\r\n]+\s*`, 'g'],
  ['^(a+)+$', ''],
  ['(?:a|b)*a*$', ''],
])('an expression whose time is not linear is found: %s', (source, flags) => {
  expect(judge(source, flags)).toBeGreaterThan(0)
})

// A server, an agent or a name of a file may send any text, and time that grows with its square blocks for minutes.
test('the time of every regular expression is linear in the length of the text', () => {
  const found = ['src', 'cli'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .flatMap((name) => {
        const { program } = parseSync(name, readFileSync(join(root, folder, name), 'utf8'))
        return expressionsIn(program).map((expression) => ({ file: `${folder}/${name}`, ...expression }))
      }),
  )
  expect(found.length).toBeGreaterThan(80)
  expect(found.filter(({ pattern, flags }) => judge(pattern, flags) > 0)).toEqual([])
})
