import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeWithProgram } from '../helpers/describe-with-program.js'
import { poll } from '../helpers/poll.js'
import { plainEnvironment, runProgram } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { hasTerminals, startOnTerminal } from '../helpers/terminal.js'
import { pbmanifest } from './pbmanifest.js'

let scratch: ScratchDirectory

beforeAll(async () => {
  scratch = createScratchDirectory()
  mkdirSync(join(scratch.path, 'here/only-directory'), { recursive: true })
  mkdirSync(join(scratch.path, 'home'))
  writeFileSync(join(scratch.path, 'here/only-file'), '')
  writeFileSync(join(scratch.path, 'here/two words'), '')
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { stdout } = await pbmanifest(['completion', shell])
    writeFileSync(join(scratch.path, shell), stdout)
  }
})

afterAll(() => scratch.remove())

/** A shell on a terminal, in which `pbmanifest` shows its arguments. */
class TypedShell {
  readonly #child: ChildProcessWithoutNullStreams
  #shown = ''

  constructor(command: string, home: string) {
    const env = { ...plainEnvironment(), HOME: home, TERM: 'dumb', INPUTRC: '/dev/null' }
    this.#child = startOnTerminal(command, env)
    this.#child.stdout.on('data', (chunk: Buffer) => (this.#shown += chunk.toString()))
  }

  /** Types a line, and returns the arguments that `pbmanifest` got. */
  async run(line: string): Promise<string[]> {
    this.#shown = ''
    this.#child.stdin.write(`${line}\n`)
    return await poll(`what comes of ${JSON.stringify(line)}`, async () => {
      const got = /\{\[([^\n]*)\]\}\r?\n/.exec(this.#shown)?.[1]
      return got?.split('][')
    })
  }

  close(): void {
    this.#child.kill()
  }
}

/** What is typed, with TAB as `~`, and the arguments that come of it. */
const typedLines: readonly (readonly [typed: string, args: readonly string[]])[] = [
  ['ver~BACKUP', ['verify', 'BACKUP']],
  ['--vers~', ['--version']],
  ['verify --ign~x B', ['verify', '--ignore=x', 'B']],
  ['verify --qui~B', ['verify', '--quiet', 'B']],
  ['verify --output=j~', ['verify', '--output=json']],
  ['verify --output j~', ['verify', '--output', 'json']],
  ['backup -c f~', ['backup', '-c', 'fast']],
  ['verify --page-checksums=of~', ['verify', '--page-checksums=off']],
  ['verify --page-checksums only-f~', ['verify', '--page-checksums', 'only-file']],
  ['completion f~', ['completion', 'fish']],
  ['help fr~', ['help', 'fragment']],
  // Files where files are meant, directories where directories are, and nothing where nobody can know.
  ['verify -m only-f~', ['verify', '-m', 'only-file']],
  ['verify --manifest-path=only-f~', ['verify', '--manifest-path=only-file']],
  ['verify -m two~', ['verify', '-m', 'two words']],
  ['merge -D on~', ['merge', '-D', 'only-directory/']],
  ['merge --pgdata=on~', ['merge', '--pgdata=only-directory/']],
  ['fragment on~', ['fragment', 'only-directory/']],
  ['backup -U only-f~', ['backup', '-U', 'only-f']],
  ['backup only-f~', ['backup', 'only-f']],
  ['serve --port=only-f~', ['serve', '--port=only-f']],
]

const hasTerminal = await hasTerminals()

describe.each([
  { shell: 'bash', start: 'bash --norc --noprofile -i', prepare: '' },
  { shell: 'zsh', start: 'zsh -f -i', prepare: 'autoload -Uz compinit; compinit -u -D; ' },
])('$shell', ({ shell, start, prepare }) => {
  describeWithProgram(shell, shell, `completes in ${shell}`, () => {
    let typed: TypedShell

    beforeAll(async () => {
      if (!hasTerminal) return
      typed = new TypedShell(start, join(scratch.path, 'home'))
      const show = `pbmanifest() { printf '{'; printf '[%s]' "$@"; printf '}\\n'; }`
      await typed.run(
        `cd '${scratch.path}/here'; ${prepare}source '${scratch.path}/${shell}'; ${show}; pbmanifest ready`,
      )
    })

    afterAll(() => typed.close())

    test.runIf(hasTerminal).each(typedLines)('%s', async (line, args) => {
      // A completed word may have a blank behind it, and a completed directory its slash, which zsh takes back.
      const got = await typed.run(`pbmanifest ${line.replace('~', '\t')}`)
      expect(got.map(withoutSlash)).toEqual(args.map(withoutSlash))
    })
  })
})

function withoutSlash(word: string): string {
  return word.replace(/\/$/, '')
}

describeWithProgram('fish', 'fish', 'fish', () => {
  test.each(typedLines.filter(([line]) => line.endsWith('~')))('%s', async (line, args) => {
    const typed = `pbmanifest ${line.slice(0, -1)}`
    const script = `source '${scratch.path}/fish'; complete -C '${typed}'`
    const env = { HOME: join(scratch.path, 'home') }
    const { status, stdout } = await runProgram('fish', ['--no-config', '-c', script], {
      env,
      cwd: join(scratch.path, 'here'),
    })
    const offered = stdout
      .trimEnd()
      .split('\n')
      .map((offer) => offer.split('\t')[0] ?? '')
    const wanted = args.at(-1) ?? ''
    const isNothing = line.endsWith(`${wanted}~`)
    expect({ status, offered }).toEqual({ status: 0, offered: isNothing ? [''] : [wanted] })
  })
})

test.each([
  [[], 'no shell specified'],
  [['tcsh'], 'invalid shell "tcsh"'],
  [['bash', 'zsh'], 'too many command-line arguments (first is "zsh")'],
])('completion %j: %s', async (args, message) => {
  const { status, stdout, stderr } = await pbmanifest(['completion', ...args])
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr.split('\n')[0]).toBe(`pbmanifest: error: ${message}`)
})
