import '../helpers/servers-only.js'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { mustRun, type ProgramResult, runProgram } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

const script = fileURLToPath(new URL('../../scripts/release.js', import.meta.url))

const packageJson = {
  name: 'pbmanifest',
  version: '0.1.0',
  repository: { type: 'git', url: 'git+https://code.example/pbmanifest.git' },
  bugs: { url: 'https://code.example/pbmanifest/issues' },
  homepage: 'https://code.example/pbmanifest',
  scripts: { 'format:check': 'true', types: 'true', lint: 'true', docs: 'true', test: 'true' },
}

const changelog = '# Changes\n\n## Unreleased\n\n- New.\n\n## 0.1.0\n\nThe first version.\n'

let scratch: ScratchDirectory
let directory: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  directory = join(scratch.path, 'clone')
  await mkdir(directory)
  await write('package.json', JSON.stringify(packageJson))
  await write('CHANGELOG.md', changelog)
  await write('.gitignore', '*.tgz\n')
  await git('init', '--quiet', '--initial-branch=main')
  await git('add', '--all')
  await git('commit', '--quiet', '--message=First')
})

afterEach(() => scratch.remove())

async function write(name: string, text: string): Promise<void> {
  await writeFile(join(directory, name), text)
}

async function git(...args: readonly string[]): Promise<string> {
  const { stdout } = await mustRun('git', args, { cwd: directory, env })
  return stdout.trim()
}

const env = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@code.example',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@code.example',
}

async function release(...args: readonly string[]): Promise<ProgramResult> {
  return await runProgram(process.execPath, [script, ...args], { cwd: directory, env })
}

/** All that a release may change. */
async function state(): Promise<object> {
  return {
    head: await git('rev-parse', 'HEAD'),
    tags: await git('tag', '--list'),
    status: await git('status', '--porcelain', '--ignored'),
  }
}

test('a release is a commit, a tag and a tarball', async () => {
  const { status, stdout } = await release('0.2.0')
  expect(status).toBe(0)
  expect(await git('log', '-1', '--format=%s %D')).toBe('Release 0.2.0 HEAD -> main, tag: v0.2.0')
  expect(await git('cat-file', '-t', 'v0.2.0')).toBe('tag')
  expect(await git('status', '--porcelain', '--ignored')).toBe('!! pbmanifest-0.2.0.tgz')
  expect(JSON.parse(await readFile(join(directory, 'package.json'), 'utf8'))).toEqual({
    ...packageJson,
    version: '0.2.0',
  })
  expect(await readFile(join(directory, 'CHANGELOG.md'), 'utf8')).toBe(
    changelog.replace('Unreleased', '0.2.0'),
  )
  expect(stdout).toMatch(/npm publish pbmanifest-0\.2\.0\.tgz/)
})

test('a dry run changes nothing', async () => {
  const before = await state()
  const { status, stdout } = await release('0.2.0', '--dry-run')
  expect(status).toBe(0)
  expect(stdout).toMatch(/would commit "Release 0\.2\.0"/)
  expect(await state()).toEqual(before)
})

test('all that stands against a release is said, and nothing is changed', async () => {
  const { repository: _repository, bugs: _bugs, homepage: _homepage, ...rest } = packageJson
  await write('package.json', JSON.stringify(rest))
  await write('CHANGELOG.md', '# Changes\n\n## Unreleased\n\n## 0.1.0\n')
  await git('tag', 'v0.1.0')
  await git('switch', '--quiet', '--create', 'side')
  const before = await state()
  expect(await release('0.1.0')).toEqual({
    status: 1,
    stdout: '',
    stderr: [
      'release: error: this cannot be released:',
      'version 0.1.0 does not come after 0.1.0',
      'there are changes that are not committed; see git status',
      'the branch is not main',
      'there is a tag v0.1.0 already',
      'CHANGELOG.md has nothing under "## Unreleased"',
      'package.json has no address for "repository"',
      'package.json has no address for "bugs"',
      'package.json has no address for "homepage"\n',
    ].join('\n  '),
  })
  expect(await state()).toEqual(before)
})

test.each(['0.0.9', '0.1.0-beta.1', '1.0', 'v1.0.0', '../x'])('%s cannot follow 0.1.0', async (version) => {
  const { status, stderr } = await release(version)
  expect(status).toBe(1)
  expect(stderr).toMatch(/does not come after|is no version/)
})

test.each([
  { what: 'a check', scripts: { ...packageJson.scripts, lint: 'false' }, says: /npm run lint failed/ },
  {
    what: 'the packing, when all else was done,',
    scripts: { ...packageJson.scripts, prepack: 'false' },
    says: /npm pack failed/,
  },
  {
    what: 'a check that changes files',
    scripts: { ...packageJson.scripts, docs: 'echo >> CHANGELOG.md' },
    says: /the checks changed files/,
  },
])('what $what stops leaves no commit and no tag', async ({ scripts, says }) => {
  await write('package.json', JSON.stringify({ ...packageJson, scripts }))
  await git('commit', '--quiet', '--all', '--message=Second')
  const before = await git('rev-parse', 'HEAD')
  const { status, stderr } = await release('0.2.0')
  expect(status).toBe(1)
  expect(stderr).toMatch(says)
  expect(await git('rev-parse', 'HEAD')).toBe(before)
  expect(await git('tag', '--list')).toBe('')
  expect(await git('diff', '--name-only', '--', 'package.json')).toBe('')
})
