import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { pbmanifest, shell } from './pbmanifest.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'

const packageFile = new URL('../../package.json', import.meta.url)
const { version }: { readonly version: string } = JSON.parse(readFileSync(packageFile, 'utf8'))

describe('pbmanifest', () => {
  test.each(['--version', '-V'])('%s prints the version of the package', async (option) => {
    expect(await pbmanifest([option])).toEqual({ status: 0, stdout: `pbmanifest ${version}\n`, stderr: '' })
  })

  test.each([
    { args: ['--version'], others: /yargs|dist\/validators|manifest-|verify-|backup-|wal-/ },
    {
      args: ['verify', '/nowhere'],
      others:
        /yargs|dist\/validators|d3-|program\/(?:help|bash|zsh|fish|completed-words|report-page|junit|nagios|prometheus)-/,
    },
  ])('$args loads nothing that it does not need', async ({ args, others }) => {
    const scratch = createScratchDirectory()
    await pbmanifest(args, { NODE_V8_COVERAGE: scratch.path })
    const loaded = readdirSync(scratch.path)
      .map((coverage) => readFileSync(join(scratch.path, coverage), 'utf8'))
      .join()
    scratch.remove()
    // The coverage that V8 writes names every module that was loaded.
    expect(loaded).toContain('dist/program/main.js')
    expect(loaded).not.toMatch(others)
  })

  test.each([
    ['-?'],
    ['--help'],
    ['verify', '--help'],
    ['serve', '-?'],
    ['merge', '-?'],
    ['fragment', '-?'],
    ['backup-id', '-?'],
    ['help'],
    ['help', 'verify'],
  ])('%s %s prints help on standard output', async (...args) => {
    const { status, stdout, stderr } = await pbmanifest(args)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^Usage: pbmanifest /)
  })

  test('bad usage goes to standard error', async () => {
    expect(await pbmanifest(['verify', '--nonsense'])).toEqual({
      status: 2,
      stdout: '',
      stderr: `pbmanifest: error: unrecognized option '--nonsense'
pbmanifest: hint: Try "pbmanifest verify --help" for more information.
`,
    })
  })

  test.each(['', 'de_DE.UTF-8', 'C'])('speaks English when LC_ALL is "%s"', async (locale) => {
    const { stdout } = await pbmanifest(['verify', '--help'], { LC_ALL: locale, LANGUAGE: locale })
    expect(stdout).toContain('Examples:')
  })

  test('backup-id prints another id each time', async () => {
    const first = await pbmanifest(['backup-id'])
    const second = await pbmanifest(['backup-id'])
    expect(first).toEqual({ status: 0, stdout: expect.stringMatching(/^[0-9a-f]{32}\n$/), stderr: '' })
    expect(second.stdout).not.toBe(first.stdout)
  })
})

describe('when standard output cannot be written', () => {
  test.each(['--version', '--help', 'completion bash', 'backup-id'])(
    'a reader that went away is no word worth: %s',
    async (args) => {
      const { stderr } = await shell(
        `{ until_nobody_reads; pbmanifest ${args}; echo "status \${?}" >&2; } | :`,
      )
      expect(stderr).toBe('status 0\n')
    },
  )

  test.each(['--version', '--help', 'backup-id'])(
    'a full disk is said and has status 5: %s',
    async (args) => {
      expect(await shell(`pbmanifest ${args} > /dev/full`)).toEqual({
        status: 5,
        stdout: '',
        stderr: 'pbmanifest: error: could not write to standard output: No space left on device\n',
      })
    },
  )

  test('closed standard output and error are survived', async () => {
    expect(await shell('pbmanifest backup-id >&- 2>&-')).toMatchObject({ stderr: '' })
    expect(await shell('pbmanifest verify 2>&-')).toEqual({ status: 2, stdout: '', stderr: '' })
  })
})
