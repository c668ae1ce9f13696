/**
 * `npm run demo`: four workers write fragments of a real backup, a leader merges them, and verify finds one flipped
 * byte. It runs a real PostgreSQL 18 in a temporary directory and leaves nothing behind, whichever way it ends.
 */
import { join } from 'node:path'
import { type Cluster, createCluster } from '../test/helpers/cluster.js'
import { poll } from '../test/helpers/poll.js'
import { embeddedPostgres } from '../test/helpers/postgres-programs.js'
import { createScratchDirectory } from '../test/helpers/scratch-directory.js'
import { flipByte } from './flip-byte.js'
import { type LowLevelBackup, takeLowLevelBackup } from './low-level-backup.js'
import { changeSampleData, loadSampleData } from './sample-data.js'
import { type CommandLine, runShown, runShownInParallel, say, tell } from './shell.js'

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
  const cluster = await createCluster(await embeddedPostgres(), { settings: { wal_keep_size: '1GB' } })
  const pid = cluster.pid()
  try {
    await loadSampleData(cluster)
    await showVersion(cluster)
    const backup = await copyFiles(cluster, directory)
    const backupId = await chooseBackupId(directory)
    await writeFragments(directory, backupId)
    await mergeFragments(directory, backup)
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

async function copyFiles(cluster: Cluster, directory: string): Promise<LowLevelBackup> {
  tell('A backup by the low-level API, taken while somebody changes the data. It has no manifest yet.')
  return takeLowLevelBackup(cluster, {
    directory: join(directory, backupDirectory),
    tablespaces: join(directory, 'tablespaces'),
    meanwhile: () => changeSampleData(cluster),
  })
}

async function chooseBackupId(directory: string): Promise<string> {
  tell('The leader gives the backup an id, which all workers write into their fragments.')
  const { output } = await runShown(directory, ['pbmanifest', 'backup-id'])
  return output.trim()
}

async function writeFragments(directory: string, backupId: string): Promise<void> {
  tell(
    `${String(workers)} workers at the same time: each reads its share of the files and writes a manifest fragment.`,
  )
  const commands = workerNumbers().map((worker): CommandLine => {
    const share = ['--worker', String(worker), '--workers', String(workers)]
    const options = [...share, '--backup-id', backupId, '-o', fragmentName(worker)]
    return ['pbmanifest', 'fragment', backupDirectory, ...options]
  })
  await runShownInParallel(directory, commands)
}

async function mergeFragments(directory: string, backup: LowLevelBackup): Promise<void> {
  tell('The leader merges them into the manifest that PostgreSQL itself would have written.')
  const manifest = join(backupDirectory, 'backup_manifest')
  const end = ['--end-lsn', backup.endLsn, '--end-timeline', String(backup.timeline)]
  const options = ['-o', manifest, '--workers', String(workers), '--pgdata', backupDirectory, ...end]
  await runShown(directory, ['pbmanifest', 'merge', ...workerNumbers().map(fragmentName), ...options])
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

/** Where the accounts are, relative to the data directory. */
async function relationPathname(cluster: Cluster): Promise<string> {
  const [row] = await cluster.sql<{ pathname: string }>(`SELECT pg_relation_filepath('accounts') AS pathname`)
  if (row === undefined) throw new Error('no file of the table "accounts"')
  return row.pathname
}

function workerNumbers(): readonly number[] {
  return Array.from({ length: workers }, (_, worker) => worker)
}

function fragmentName(worker: number): string {
  return `fragment.${String(worker)}`
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
