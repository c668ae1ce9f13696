import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCommandLine } from '../cli/run-command-line.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { realTarBackups } from '../helpers/tar-backups.js'

const timeout = 240_000

interface Listed {
  readonly path?: string
  readonly encodedPath?: string
  readonly size: number
  readonly lastModified: string | null
  readonly checksum: { readonly algorithm: string; readonly hex: string } | null
}

/** What JavaScript's own parser reads in a manifest of version 1. */
function readFiles(manifestPath: string): Listed[] {
  const { Files: files } = JSON.parse(readFileSync(manifestPath, 'utf8')) as {
    Files: Record<string, string & number>[]
  }
  return files.map((file) => ({
    ...(file['Path'] === undefined ? { encodedPath: file['Encoded-Path'] ?? '' } : { path: file['Path'] }),
    size: file['Size'] ?? 0,
    lastModified: file['Last-Modified'] ?? null,
    checksum: { algorithm: file['Checksum-Algorithm'] ?? '', hex: file['Checksum'] ?? '' },
  }))
}

async function json(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await runCommandLine([...args, '--output=json'])
  expect({ args, status, stderr }).toEqual({ args, status: 0, stderr: '' })
  return JSON.parse(stdout) as Record<string, unknown>
}

describeWithDebianPostgres('backups of PostgreSQL 15', (programs) => {
  test('are listed as their manifests have them, plain and tar', { timeout }, async () => {
    const directories = [(await realBackup(programs)).directory, (await realTarBackups(programs)).gzip]
    for (const directory of directories) {
      const files = readFiles(join(directory, 'backup_manifest'))
      expect(files.some(({ encodedPath }) => encodedPath !== undefined)).toBe(true)
      expect(await json('ls', '--sort=none', directory)).toMatchObject({ count: files.length, files })
    }
  })

  test('are summed up by tablespace and database', { timeout }, async () => {
    const { directory, manifestPath, tablespaces } = await realBackup(programs)
    const files = readFiles(manifestPath)
    const count = (pattern: RegExp): object => {
      const matching = files.filter(({ path }) => path !== undefined && pattern.test(path))
      return { files: matching.length, bytes: matching.reduce((sum, { size }) => sum + size, 0) }
    }
    const overview = await json('show', directory)
    expect(overview).toMatchObject({
      version: 1,
      systemIdentifier: null,
      majorVersion: 15,
      tablespaces: [
        { tablespace: 'pg_default', ...count(/^base\//) },
        { tablespace: 'pg_global', ...count(/^global\//) },
        ...tablespaces.map(({ oid }) => ({ tablespace: oid, ...count(new RegExp(`^pg_tblspc/${oid}/`)) })),
      ],
    })
    const databases = overview['databases'] as { databaseOid: number }[]
    expect(databases.length).toBe(3)
    for (const database of databases) {
      expect(database).toMatchObject(
        count(new RegExp(`^(?:base|pg_tblspc/\\d+/PG_\\w+)/${database.databaseOid}/`)),
      )
    }
    expect(overview['forks']).toContainEqual({
      fork: 'vm',
      ...count(/^(?:global|base\/\d+|pg_tblspc\/\d+\/PG_\w+\/\d+)\/\d+_vm$/),
    })
  })

  test('differ, and are the same as themselves', { timeout }, async () => {
    const { directory } = await realBackup(programs)
    const other = (await realTarBackups(programs)).none
    const { status, stdout } = await runCommandLine(['diff', directory, other])
    expect(status).toBe(1)
    // Their clusters were made alike, at another time.
    expect(stdout).toMatch(/^changed\t\d+\t\d+\tbackup_label$/m)
    expect(await runCommandLine(['diff', '-q', directory, directory])).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
  })
})
