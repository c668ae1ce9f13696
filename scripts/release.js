import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

// npm run release -- VERSION [--dry-run]: version, changelog, commit, tag and packed tarball of a release. Nothing leaves this
// machine: what to push and publish is said at the end.

const usage = 'npm run release -- VERSION [--dry-run]'
const semver = /^(\d+)\.(\d+)\.(\d+)(?:-[0-9A-Za-z.-]+)?$/
const unreleased = '## Unreleased\n'

/** What CI checks too, besides the installed package and the demo. */
const checks = ['format:check', 'types', 'lint', 'docs', 'test']

try {
  release(readArguments())
} catch (error) {
  process.stderr.write(`release: error: ${error.message}\n`)
  process.exitCode = 1
}

function readArguments() {
  const { values, positionals } = parseArgs({
    options: { 'dry-run': { type: 'boolean', default: false } },
    allowPositionals: true,
  })
  if (positionals.length !== 1) throw new Error(`usage: ${usage}`)
  return { version: positionals[0], isDryRun: values['dry-run'] }
}

function release({ version, isDryRun }) {
  const faults = findFaults(version)
  if (faults.length > 0) throw new Error(`this cannot be released:\n  ${faults.join('\n  ')}`)
  const changelog = readFileSync('CHANGELOG.md', 'utf8').replace(unreleased, `## ${version}\n`)
  if (isDryRun) {
    say(`would run: ${checks.join(', ')}`)
    say(`would set version ${version} in package.json, and head its changes "## ${version}"`)
    say(`would commit "Release ${version}", tag v${version}, and pack:`)
    run('npm', 'pack', '--dry-run', '--silent')
    return
  }
  for (const check of checks) run('npm', 'run', check)
  // A check may have written something that git sees, a generated file that is committed for example.
  if (git('status', '--porcelain') !== '')
    throw new Error('the checks changed files that git knows; see git status')
  const before = git('rev-parse', 'HEAD')
  try {
    run('npm', 'version', version, '--no-git-tag-version')
    writeFileSync('CHANGELOG.md', changelog)
    run('git', 'commit', '--quiet', '--all', `--message=Release ${version}`)
    run('npm', 'pack')
    // Last: a tag is what others take for a release.
    run('git', 'tag', '--annotate', `--message=Version ${version}`, `v${version}`)
  } catch (error) {
    git('reset', '--quiet', '--hard', before)
    throw error
  }
  say(`
Version ${version} is committed, tagged and packed; nobody has it yet. To publish it:
  git push origin main v${version}
  npm publish pbmanifest-${version}.tgz
and put docs/api where its readers are.`)
}

/** All that stands against this release, each in a line. */
function findFaults(version) {
  const { version: current, repository, bugs, homepage } = JSON.parse(readFileSync('package.json', 'utf8'))
  const faults = []
  if (!semver.test(version)) faults.push(`"${version}" is no version, as 1.2.3 or 1.2.3-beta.1`)
  else if (!isLater(version, current)) faults.push(`version ${version} does not come after ${current}`)
  if (git('status', '--porcelain') !== '')
    faults.push('there are changes that are not committed; see git status')
  if (git('branch', '--show-current') !== 'main') faults.push('the branch is not main')
  if (git('tag', '--list', `v${version}`) !== '') faults.push(`there is a tag v${version} already`)
  const changes = readFileSync('CHANGELOG.md', 'utf8').split(/^(?=## )/m)
  const section = changes.find((text) => text.startsWith(unreleased))
  if (section === undefined || section.slice(unreleased.length).trim() === '') {
    faults.push('CHANGELOG.md has nothing under "## Unreleased"')
  }
  for (const [name, value] of Object.entries({ repository, bugs, homepage })) {
    if (!(value?.url ?? value)?.startsWith?.('https://') && !(value?.url ?? '').startsWith('git+https://')) {
      faults.push(`package.json has no address for "${name}"`)
    }
  }
  return faults
}

/** By its numbers; of two with the same, one with a suffix comes first. */
function isLater(version, current) {
  const [wanted, now] = [version, current].map((text) => semver.exec(text).slice(1, 4).map(Number))
  const at = wanted.findIndex((number, index) => number !== now[index])
  if (at !== -1) return wanted[at] > now[at]
  return current.includes('-') && (!version.includes('-') || version > current)
}

/** Runs a program that may say what it wants. */
function run(program, ...args) {
  say(`$ ${program} ${args.join(' ')}`)
  const { status, error } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`)
}

function git(...args) {
  const { status, stdout, stderr } = spawnSync('git', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`git ${args.join(' ')} failed: ${stderr.trim()}`)
  return stdout.trim()
}

function say(line) {
  process.stdout.write(`${line}\n`)
}
