import { describe, expect, test } from 'vitest'
import { program } from '../../cli/command-table.js'
import { spellingsOf } from '../../cli/option-table.js'
import { pbmanifest } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'

test('the help lists all commands with what they do', async () => {
  const { stdout } = await pbmanifest(['--help'])
  const words = stdout.replaceAll(/\s+/g, ' ')
  for (const { name, summary } of program.commands) expect(words).toContain(`pbmanifest ${name} ${summary}`)
  expect((await runCommandLine(['help'])).stdout).toBe(stdout)
})

describe.each(program.commands)('the help of $name', ({ name, options, synopsis, examples }) => {
  const tables = { ...options, ...program.generalOptions }

  test('is that of PostgreSQL: on standard output, in lines that fit', async () => {
    const { status, stdout, stderr } = await runCommandLine([name, '--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(stdout).toContain(`Usage: pbmanifest ${name} ${synopsis}`.trimEnd() + '\n')
    expect((await runCommandLine(['help', name])).stdout).toBe(stdout)
  })

  test('names every option, its letter and its value', async () => {
    const { stdout } = await runCommandLine([name, '-?'])
    for (const [name, option] of Object.entries(tables)) {
      const letter = spellingsOf(name, option).letters[0]
      const value =
        option.type === 'boolean' ? '' : option.valueWhenBare ? `[=${option.value}]` : `=${option.value}`
      const shown = `  ${letter === undefined ? '   ' : `-${letter},`} --${name}${value} `
      expect(stdout).toContain(shown)
    }
  })

  test('no spelling means two options', () => {
    const spellings = Object.entries(tables).flatMap(([name, option]) =>
      Object.values(spellingsOf(name, option)).flat(),
    )
    expect(new Set(spellings).size).toBe(spellings.length)
  })

  test('has an example, in the words of a shell', () => {
    expect(examples.length).toBeGreaterThan(0)
    for (const [args, what] of examples) expect(`${args} ${what}`).not.toContain('\n')
  })
})
