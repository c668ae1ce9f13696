import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { formatRecoveryConfiguration } from '../../../src/transfer/client/prepare-target.js'
import { nearestVersion, newestVersion } from '../../../src/postgres/versions.js'
import { createCluster } from '../../helpers/cluster.js'
import { requireDebianPostgres } from '../../helpers/requires.js'
import { mustRun } from '../../helpers/run-program.js'
import { resolve } from '../connection/settings/resolve.js'

test('values are quoted for the connection string, and that for the file', () => {
  const conninfo = [
    ['user', 'u'],
    ['password', String.raw`a'b\c d`],
    ['host', '/tmp'],
  ] as const
  expect(formatRecoveryConfiguration({ conninfo, version: newestVersion, slot: "it's" })).toBe(
    String.raw`primary_conninfo = 'user=u password=''a\\''b\\\\c d'' host=''/tmp'''
primary_slot_name = 'it''s'
`,
  )
})

test.each([
  [13, 'user=u host=h'],
  [16, 'user=u host=h'],
  [17, 'user=u host=h dbname=d'],
  [18, 'user=u host=h dbname=d'],
])('a server of PostgreSQL %d is told the database only where slots are synchronized', (major, expected) => {
  const conninfo = [
    ['user', 'u'],
    ['host', 'h'],
    ['dbname', 'd'],
  ] as const
  expect(formatRecoveryConfiguration({ conninfo, version: nearestVersion(major), slot: undefined })).toBe(
    `primary_conninfo = '${expected}'\n`,
  )
})

/** The keywords and values of a primary_conninfo, in their order. */
function wordsOf(configuration: string): string[] {
  const [, conninfo = ''] = /^primary_conninfo = '(.*)'$/m.exec(configuration) ?? []
  return conninfo.split(/ (?=[a-z_]+=)/)
}

test('without a password, pg_basebackup names the default password file in the same place', async (context) => {
  const cluster = await createCluster(requireDebianPostgres(context))
  try {
    const directory = join(await cluster.makeDirectory('standby'), 'data')
    const args = ['-D', directory, '-R', '-X', 'none', '-c', 'fast', '-N', '--no-manifest']
    await cluster.run('pg_basebackup', args, { env: { HOME: '/home/of a user' } })
    const theirs = wordsOf(await readFile(join(directory, 'postgresql.auto.conf'), 'utf8'))
    const { options } = resolve({}, cluster.environment(), '/home/of a user')
    const version = nearestVersion(15)
    const ours = wordsOf(
      formatRecoveryConfiguration({ conninfo: options.conninfo, version, slot: undefined }),
    )
    expect(ours).toContain(`passfile=''/home/of a user/.pgpass''`)
    // They write libpq's own defaults as well.
    expect(theirs.filter((word) => ours.includes(word))).toEqual(ours)
  } finally {
    await cluster.remove()
  }
})

test('pg_basebackup writes the same, and the server reads what was meant', async (context) => {
  const cluster = await createCluster(requireDebianPostgres(context))
  try {
    const directory = join(await cluster.makeDirectory('standby'), 'data')
    const password = String.raw`a'b\c d`
    const quoted = password.replaceAll(/['\\]/g, String.raw`\$&`)
    const conninfo = `host=${cluster.socketDirectory} user=postgres password='${quoted}'`
    await mustRun(
      cluster.programs.path('pg_basebackup') ?? '',
      ['-d', conninfo, '-D', directory, '-R', '-X', 'none', '-c', 'fast', '-N', '--no-manifest'],
      { user: cluster.user },
    )
    const theirs = await readFile(join(directory, 'postgresql.auto.conf'), 'utf8')
    const { options } = resolve({ conninfo })
    const ours = formatRecoveryConfiguration({
      conninfo: options.conninfo,
      version: nearestVersion(15),
      slot: undefined,
    })
    for (const part of ours.replace(/^primary_conninfo = '(.*)'\n$/, '$1').split(/ (?=[a-z]+=)/)) {
      expect(theirs).toContain(part)
    }
    // The server's own reader of configuration files, on ours.
    const path = join(await cluster.makeDirectory('conf'), 'ours.conf')
    await writeFile(path, ours)
    await writeFile(join(cluster.dataDirectory, 'postgresql.auto.conf'), ours)
    const [row] = await cluster.sql<{ setting: string }>(
      `SELECT setting FROM pg_file_settings WHERE name = 'primary_conninfo'`,
    )
    expect(row?.setting).toBe(
      `user=postgres password='${quoted}' host='${cluster.socketDirectory}' port=5432`,
    )
  } finally {
    await cluster.remove()
  }
})
