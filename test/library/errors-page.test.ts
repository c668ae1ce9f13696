import { readFile } from 'node:fs/promises'
import { chainProblemKinds, problemKinds } from 'pbmanifest'
import { expect, test } from 'vitest'

const page = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8')

/** What stands in the first column of a table, of each row each word between backquotes. */
function firstColumn(heading: string): string[] {
  const table = page.slice(page.indexOf(heading)).split('\n\n')[0] ?? ''
  return table
    .split('\n')
    .slice(2)
    .flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, word]) => word ?? ''))
}

test.each([
  { what: 'of a backup', heading: '| kind                 |', kinds: problemKinds },
  { what: 'of a chain', heading: '| kind                           |', kinds: chainProblemKinds },
])('docs/errors.md has all kinds of problem $what', ({ heading, kinds }) => {
  expect(firstColumn(heading).toSorted()).toEqual([...kinds].toSorted())
})
