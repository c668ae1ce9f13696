import { describe, type TestContext } from 'vitest'
import { debianPostgres, type PostgresPrograms } from './postgres-programs.js'

const reason = 'PostgreSQL 15 is not installed (Debian: apt-get install postgresql-15)'

/** Debian's PostgreSQL 15, or the test is skipped loudly; under `CI` it fails. */
export function requireDebianPostgres(context: TestContext): PostgresPrograms {
  const programs = debianPostgres()
  if (programs !== undefined) return programs
  if (isContinuousIntegration()) throw new Error(reason)
  return context.skip(reason)
}

/**
 * `describe` for tests that all need Debian's PostgreSQL 15. Without it they are skipped, loudly; under `CI` the file
 * fails.
 */
export function describeWithDebianPostgres(name: string, tests: (programs: PostgresPrograms) => void): void {
  const programs = debianPostgres()
  if (programs === undefined) {
    if (isContinuousIntegration()) throw new Error(`cannot test "${name}": ${reason}`)
    process.stderr.write(`\nSKIPPED "${name}": ${reason}\n\n`)
  }
  const suite = programs === undefined ? describe.skip : describe
  suite(name, () => {
    if (programs !== undefined) tests(programs)
  })
}

function isContinuousIntegration(): boolean {
  return Boolean(process.env['CI'])
}
