import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CommandContext } from '../../../cli/commands/command.js'
import { Messages } from '../../../cli/messages.js'
import { peers } from '../../../cli/stand-ins/peers.js'
import { standInContext } from '../../../cli/stand-ins/stand-in.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { debianPostgres, embeddedPostgres, otherPostgres } from '../../helpers/postgres-programs.js'
import { type ProgramResult, runProgram } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { mainFile } from '../pbmanifest.js'

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

/** Runs a file of the program by a link of this name. */
async function runLinked(
  name: string,
  args: readonly string[],
  {
    file = 'main.js',
    env = {},
  }: { readonly file?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<ProgramResult> {
  const link = join(scratch.path, name)
  rmSync(link, { force: true })
  symlinkSync(join(dirname(mainFile), file), link)
  return await runProgram(process.execPath, [link, ...args], { env: { FORCE_COLOR: '0', ...env } })
}

describe('the name that the program is called by', () => {
  test.each([
    ['pg_basebackup', 'main.js', 'pg_basebackup'],
    ['pg_basebackup-18', 'main.js', 'pg_basebackup'],
    ['pbmanifest-basebackup', 'main.js', 'pg_basebackup'],
    ['any-name', 'basebackup.js', 'pg_basebackup'],
    ['pg_verifybackup', 'main.js', 'pg_verifybackup'],
    ['pbmanifest-verifybackup', 'verifybackup.js', 'pg_verifybackup'],
  ])('%s, a link to %s, stands in for %s', async (name, file, peer) => {
    const { status, stdout } = await runLinked(name, ['--version'], { file })
    // Barman takes what is not in parentheses, and a number with a point in it; others what follows "(PostgreSQL) ".
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(
        new RegExp(`^${peer} \\(PostgreSQL\\) \\d+\\.\\d+ \\(pbmanifest [^)]+\\)\n$`),
      ),
    })
  })

  test('is ours, whatever the directory is called', async () => {
    mkdirSync(join(scratch.path, 'pg_basebackup'))
    const { stdout } = await runLinked('pg_basebackup/pbmanifest', ['-V'])
    expect(stdout).toMatch(/^pbmanifest \d/)
  })

  test('the version may be another one', async () => {
    const env = { PBMANIFEST_PG_VERSION: '16.4' }
    expect((await runLinked('pg_basebackup', ['-V'], { env })).stdout).toMatch(
      /^pg_basebackup \(PostgreSQL\) 16\.4 /,
    )
  })
})

describe.each(Object.values(peers))('the help of $name', ({ name, options, variables }) => {
  test('fits 95 columns, and has all options that are taken, and the variables', async () => {
    const { status, stdout, stderr } = await runLinked(name, ['--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.split('\n').filter((line) => line.length > 95)).toEqual([])
    const refused = new Set(['wal-directory'])
    const missing = options.filter(({ name }) => !refused.has(name) && !stdout.includes(`--${name}`))
    expect(missing).toEqual([])
    for (const variable of Object.keys(variables)) expect(stdout).toContain(variable)
    expect((await runLinked(name, ['-?'])).stdout).toBe(stdout)
  })
})

describe('what is refused', () => {
  test.each([
    [['-D', 'x', '--no-such'], "unrecognized option '--no-such'"],
    [['-D', 'x', '-j', '4'], "invalid option -- 'j'"],
    [['-D', 'x', '-Ft', '--waldir=/y'], 'WAL directory location can only be specified in plain mode'],
    [['-D', 'x', '-z'], 'only tar mode backups can be compressed'],
    [
      ['-D', 'x', '-Z', 'server-gzip:long'],
      'could not initiate base backup: ERROR:  invalid compression specification: compression algorithm "gzip" does not support long-distance mode',
    ],
    [
      ['-D', 'x', '--compress=server-extrasquishy'],
      'could not initiate base backup: ERROR:  unrecognized compression algorithm: "extrasquishy"',
    ],
    [
      ['-D', 'x', '-Z', 'client-gzip:'],
      'invalid compression specification: found empty string where a compression option was expected',
    ],
    [['-Z', 'server-gzip:'], 'must specify output directory or backup target'],
    [
      ['-D', 'x', '--manifest'],
      "option '--manifest' is ambiguous; possibilities: '--manifest-checksums' '--manifest-force-encode'",
    ],
    [['-t', 'blackhole', '-X', 'none'], 'backup target "blackhole" is not supported'],
    [['x'], 'too many command-line arguments (first is "x")'],
    [[], 'must specify output directory or backup target'],
  ])('%j has status 1, and says what to try', async (args, message) => {
    const { status, stdout, stderr } = await runLinked('pg_basebackup', args)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr.split('\n')[0]).toBe(`pg_basebackup: error: ${message}`)
    expect(stderr).toContain('Try "pg_basebackup --help" for more information.')
  })

  test('is what a variable cannot be', async () => {
    const env = { PBMANIFEST_VERIFY: 'maybe' }
    const { status, stderr } = await runLinked('pg_basebackup', ['-D', 'x'], { env })
    expect(status).toBe(1)
    expect(stderr).toContain('pg_basebackup: error: invalid value "maybe" for PBMANIFEST_VERIFY\n')
  })
})

test('what a server wants said has the form of libpq', () => {
  const lines: string[] = []
  const messages = new Messages({ write: (text) => lines.push(text) }, false, 'pg_basebackup')
  const context = { messages } as CommandContext
  const { tellNotice } = standInContext({ peer: 'pg_basebackup', name: 'pg_basebackup' }, context, {})
  tellNotice({ severity: 'WARNING', message: 'checksum verification failed in file "a\nb"' })
  tellNotice({ severity: 'NOTICE', message: 'WAL archiving is not enabled', hint: 'Enable it.' })
  expect(lines.join('')).toBe(
    'WARNING:  checksum verification failed in file "a\\x0ab"\n' +
      'NOTICE:  WAL archiving is not enabled\nHINT:  Enable it.\n',
  )
})

// What the options are, the programs themselves say.
const programs = [debianPostgres() ?? [], otherPostgres()].flat()

describe.each(programs)('the program of PostgreSQL $major', (installed) => {
  test.each(Object.values(peers))('$name has the options that we think it has', (peer) => {
    const help = execFileSync(installed.path(peer.name) ?? '', ['--help'], {
      encoding: 'utf8',
      env: { LC_ALL: 'C' },
    })
    const found = [...help.matchAll(/^ {2}(?:-(.), |  {3})--([a-z-]+)/gm)].map(([, letter, name]) =>
      [letter, name].join(' '),
    )
    const expected = peer.options
      .filter(({ since = 15 }) => since <= installed.major)
      .map(({ letter, name }) => [letter, name].join(' '))
    expect([...new Set(found)].toSorted()).toEqual([...expected, 'V version', '? help'].toSorted())
  })
})

describe('a backup', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await createCluster(await embeddedPostgres())
  })

  afterAll(() => cluster.remove())

  // pkg/management/postgres/join.go of CloudNativePG, and bootstrap.py of Patroni.
  test('as CloudNativePG and Patroni ask for one; silent, or with -v on standard error', async () => {
    const { host, port } = { host: cluster.socketDirectory, port: cluster.port }
    const dsn = `host=${host} port=${port} user=${cluster.environment()['PGUSER'] ?? ''}`
    const data = join(scratch.path, 'pgdata')
    const wal = join(scratch.path, 'pgwal')
    const operator = [
      '-D',
      data,
      '-v',
      '-w',
      '-d',
      `${dsn} dbname=postgres connect_timeout=5 replication=1`,
      '--waldir',
      wal,
    ]
    const first = await runLinked('pg_basebackup', operator, { env: { PBMANIFEST_JOBS: '2' } })
    expect(first).toMatchObject({ status: 0, stdout: '' })
    expect(first.stderr).toContain('pg_basebackup: base backup completed\n')
    expect(first.stderr).toMatch(/^pg_basebackup: worker 1: /m)
    expect(await readlink(join(data, 'pg_wal'))).toBe(wal)
    expect((await readdir(wal)).some((name) => name.length === 24)).toBe(true)

    const replica = join(scratch.path, 'replica')
    const patroni = [
      `--pgdata=${replica}`,
      '-X',
      'stream',
      `--dbname=${dsn} application_name=node2 sslmode=prefer`,
    ]
    const fast = ['--check=fast', '--no-syn']
    expect(await runLinked('pg_basebackup', [...patroni, ...fast])).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })

    const verified = await runLinked('pg_verifybackup', ['--wal-directory', join(replica, 'pg_wal'), replica])
    expect(verified).toEqual({ status: 0, stdout: 'backup successfully verified\n', stderr: '' })
    // WAL that is kept elsewhere.
    renameSync(join(replica, 'pg_wal'), join(scratch.path, 'wal'))
    for (const args of [['-n'], ['-w', join(scratch.path, 'wal')]]) {
      expect(await runLinked('pg_verifybackup', [...args, '-i', 'PG_VERSION', replica])).toEqual(verified)
    }
    for (const args of [[], ['-w', join(replica, 'base')]]) {
      expect(await runLinked('pg_verifybackup', [...args, replica])).toMatchObject({ status: 1, stdout: '' })
    }
    cpSync(join(replica, 'PG_VERSION'), join(replica, 'extra'))
    const spoilt = await runLinked('pg_verifybackup', ['-e', replica])
    expect(spoilt).toMatchObject({ status: 1, stdout: '' })
    expect(spoilt.stderr).toContain(
      'pg_verifybackup: error: "extra" is present on disk but not in the manifest\n',
    )
    writeFileSync(
      join(replica, 'backup_manifest'),
      readFileSync(join(replica, 'backup_manifest'), 'utf8').slice(0, 99),
    )
    expect(await runLinked('pg_verifybackup', [replica])).toMatchObject({ status: 1, stdout: '' })
    expect(await runLinked('pg_basebackup', [...patroni])).toMatchObject({
      status: 1,
      stderr: `pg_basebackup: error: directory "${replica}" exists but is not empty\n`,
    })
  })
})
