/**
 * `npm run demo`: four workers take a backup of a running server, and verify finds one flipped byte. It runs a real PostgreSQL 18 in a temporary directory and leaves nothing behind, whichever way it ends.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { type Cluster, createCluster } from '../test/helpers/cluster.js'
import { poll } from '../test/helpers/poll.js'
import { embeddedPostgres } from '../test/helpers/postgres-programs.js'
import { createScratchDirectory } from '../test/helpers/scratch-directory.js'
import { tablespaceMappings } from '../test/helpers/tablespace-mappings.js'
import { type CommandLine, runShown, say, tell } from './shell.js'

const workers = 4

/** The backup's data directory, as the commands name it from the directory they run in. */
const backupDirectory = 'backup'

async function main(): Promise<void> {
  const started = Date.now()
  const scratch = createScratchDirectory()
  try {
    await tellStory(scratch.path)
  } finally {
    scratch.remove()
  }
  say(`\nThe demo did all it promised, in ${((Date.now() - started) / 1000).toFixed(1)} s.`)
}

async function tellStory(directory: string): Promise<void> {
  tell('A real PostgreSQL 18 in a temporary directory, with some MB of data and a tablespace.')
  const cluster = await createCluster(await embeddedPostgres(), { dataChecksums: true })
  const pid = cluster.pid()
  try {
    await loadSampleData(cluster)
    await showVersion(cluster)
    await takeBackup(cluster, directory)
    await verifyGoodBackup(directory)
    await verifyDamagedBackup(directory, await relationPathname(cluster))
  } finally {
    await cluster.remove()
    if (pid !== undefined) await waitUntilGone(pid)
  }
}

async function showVersion(cluster: Cluster): Promise<void> {
  const text = 'SELECT version()'
  const [row] = await cluster.sql<{ version: string }>(text)
  say(`postgres=# ${text};\n${row?.version ?? ''}`)
}

async function takeBackup(cluster: Cluster, directory: string): Promise<void> {
  tell(
    `A base backup over nothing but database connections, by ${workers} workers at the same time, while somebody changes the
data. Each worker writes a manifest fragment of what it copied; at the end they are merged into the manifest that
PostgreSQL itself would have written.`,
  )
  const mappings = await tablespaceMappings(cluster, join(directory, 'tablespaces'))
  const command: CommandLine = [
    'pbmanifest',
    'backup',
    `--host=${cluster.socketDirectory}`,
    '--username=postgres',
    `--pgdata=${backupDirectory}`,
    `--jobs=${workers}`,
    '--checkpoint=fast',
    '--progress',
    '--verbose',
    ...mappings.flatMap(({ from, to }) => [`--tablespace-mapping=${from}=${to}`]),
  ]
  await Promise.all([runShown(directory, command), changeSampleData(cluster)])
}

async function verifyGoodBackup(directory: string): Promise<void> {
  tell('Anyone, later: is the backup what it was?')
  await runShown(directory, ['pbmanifest', 'verify', backupDirectory])
}

async function verifyDamagedBackup(directory: string, pathname: string): Promise<void> {
  const file = join(directory, backupDirectory, pathname)
  tell(`One byte of ${pathname} is flipped. verify names the file and exits with status 1.`)
  await flipByte(file, 100_000)
  const { output } = await runShown(directory, ['pbmanifest', 'verify', backupDirectory], 1)
  if (!output.includes(`"${pathname}"`)) throw new Error(`verify did not name "${pathname}"`)
  say('$ echo $?\n1')

  tell('The byte is put right again.')
  await flipByte(file, 100_000)
  await runShown(directory, ['pbmanifest', 'verify', backupDirectory])
}

/** Fills some MB of tables in the manner of pgbench, one of them in a tablespace, and what a backup leaves out. */
async function loadSampleData(cluster: Cluster): Promise<void> {
  await cluster.createTablespace('archive')
  await cluster.sql(`
    CREATE TABLE accounts AS
      SELECT n AS id, n % 10 AS branch, 0 AS balance, repeat(' ', 84) AS filler FROM generate_series(1, 100000) AS n;
    ALTER TABLE accounts ADD PRIMARY KEY (id);
    CREATE TABLE history TABLESPACE archive AS
      SELECT n AS account, n % 7 AS delta, clock_timestamp() AS made_at FROM generate_series(1, 50000) AS n;
    CREATE UNLOGGED TABLE scratchpad AS SELECT n FROM generate_series(1, 1000) AS n;
    CHECKPOINT`)
}

/** Changes about a tenth of the accounts. */
async function changeSampleData(cluster: Cluster): Promise<void> {
  await cluster.sql('UPDATE accounts SET balance = balance + 1 WHERE branch = 3')
}

/** Inverts one byte of a file. Twice is as if nothing had happened. */
async function flipByte(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, offset)
    byte.writeUInt8(byte.readUInt8() ^ 0xff)
    await file.write(byte, 0, 1, offset)
  } finally {
    await file.close()
  }
}

/** Where the accounts are, relative to the data directory. */
async function relationPathname(cluster: Cluster): Promise<string> {
  const [row] = await cluster.sql<{ pathname: string }>(`SELECT pg_relation_filepath('accounts') AS pathname`)
  if (row === undefined) throw new Error('no file of the table "accounts"')
  return row.pathname
}

/** The process that adopted the server may take a moment to collect it. */
async function waitUntilGone(pid: number): Promise<void> {
  const isGone = (): Promise<boolean> => {
    try {
      process.kill(pid, 0)
      return Promise.resolve(false)
    } catch {
      return Promise.resolve(true)
    }
  }
  await poll('the end of the server', isGone, { timeout: 3000 }).catch(() => {})
}

try {
  await main()
} catch (error) {
  process.stderr.write(`\ndemo: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
