import '../../helpers/servers-only.js'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { program } from '../../../cli/command-table.js'
import { makeManPages } from '../../../cli/manual/man-pages.js'
import { manuals } from '../../../cli/manual/manuals.js'
import { describeWithProgram } from '../../helpers/describe-with-program.js'
import { runProgram } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'

const pages = makeManPages('2026-11-27')
const names = [...pages.keys()]

test('every command has a page, which npm links where man looks', () => {
  const commands = program.commands.map(({ name }) => name)
  expect(Object.keys(manuals).toSorted()).toEqual(commands.toSorted())
  const packageFile = new URL('../../../package.json', import.meta.url)
  const { man }: { readonly man: readonly string[] } = JSON.parse(readFileSync(packageFile, 'utf8'))
  expect(man.toSorted()).toEqual(names.map((name) => `./man/${name}`).toSorted())
})

test.each(program.commands)(
  'the manual of $name speaks of its own options and of pages that are there',
  ({ name, options }) => {
    const manual = manuals[name]
    expect(Object.keys(manual?.options ?? {}).filter((option) => options[option] === undefined)).toEqual([])
    const ours = (manual?.seeAlso ?? []).filter((page) => page.startsWith('pbmanifest'))
    expect(ours.filter((page) => !pages.has(page.replace(/\((.)\)$/, '.$1')))).toEqual([])
  },
)

let scratch: ScratchDirectory

beforeAll(() => {
  scratch = createScratchDirectory()
  for (const [name, page] of pages) writeFileSync(join(scratch.path, name), page)
})

afterAll(() => scratch.remove())

describeWithProgram('man', 'man-db', 'man', () => {
  describe.each(names)('%s', (name) => {
    test('is set without a warning, and has what people look for', async () => {
      const env = { MANWIDTH: '80', LC_ALL: 'C.UTF-8' }
      const file = join(scratch.path, name)
      const { status, stdout, stderr } = await runProgram('man', ['--warnings=w', '-P', 'cat', '-l', file], {
        env,
      })
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      const headings = stdout.split('\n').filter((line) => /^[A-Z][A-Z ]+$/.test(line))
      const wanted = [
        'NAME',
        'SYNOPSIS',
        'DESCRIPTION',
        'OPTIONS',
        'EXIT STATUS',
        'ENVIRONMENT',
        'EXAMPLES',
        'SEE ALSO',
      ]
      expect(headings).toEqual(expect.arrayContaining(wanted))
      expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
    })
  })

  test('what is typed has the characters that are typed', async () => {
    const file = join(scratch.path, 'pbmanifest-sign.1')
    const env = { MANWIDTH: '80', LC_ALL: 'C.UTF-8' }
    const { stdout } = await runProgram('man', ['-P', 'cat', '-l', file], { env })
    expect(stdout).toContain('$ pbmanifest sign -f ~/.ssh/id_ed25519 BACKUP\n')
    expect(stdout).toContain('-f FILE, --key=FILE\n')
  })
})

describeWithProgram('mandoc', 'mandoc', 'mandoc', () => {
  test.each(names)('finds no fault in %s', async (name) => {
    const { status, stdout, stderr } = await runProgram('mandoc', [
      '-T',
      'lint',
      '-W',
      'all',
      join(scratch.path, name),
    ])
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' })
  })
})
