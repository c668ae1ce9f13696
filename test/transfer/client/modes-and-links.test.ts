import { createServer } from 'node:net'
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { mustRun } from '../../helpers/run-program.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'
import { AgentProgram } from '../agent/agent-program.js'
import { runBackupProgram } from './backup-program.js'

/** Of each file and directory below, what it is and its permission bits: `file 640`. */
function modesIn(root: string): Map<string, string> {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' })
  return new Map(
    names.map((name) => {
      const stats = lstatSync(join(root, name))
      const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'special'
      return [name, `${kind} ${(stats.mode & 0o777).toString(8)}`]
    }),
  )
}

/** The names that no backup has, in order. */
const specialFiles = ['app.sock', 'conf.d/above', 'extra.conf', 'fifo', 'log', 'nowhere']

/** A socket stays when nobody listens any more only if its listener did not end in good order; so it is moved away before. */
async function makeSocket(path: string): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(`${path}.new`, resolve))
  renameSync(`${path}.new`, path)
  await new Promise((resolve) => server.close(resolve))
}

const file = (path: string): void => writeFileSync(path, 'content')

/** Two streams of WAL may have ended in different segments. */
function withoutWal(modes: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...modes].filter(([name]) => !/^pg_wal\/.*[0-9A-F]{24}/.test(name)))
}

describeWithDebianPostgres('modes, links and special files', (programs) => {
  let cluster: Cluster
  let agent: AgentProgram
  let theirs: Map<string, string>

  /** Puts something of the server's user into its data directory. */
  function put(name: string, mode: number, make: (path: string) => void): void {
    const path = join(cluster.dataDirectory, name)
    make(path)
    if (cluster.user !== undefined) lchownSync(path, cluster.user.uid, cluster.user.gid)
    if (!lstatSync(path).isSymbolicLink()) chmodSync(path, mode)
  }

  beforeAll(async () => {
    cluster = await createCluster(programs)
    const outside = await cluster.makeDirectory('outside')
    writeFileSync(join(outside, 'extra.conf'), '')
    mkdirSync(join(outside, 'logs'))
    writeFileSync(join(outside, 'logs/old.log'), 'old')
    mkdirSync(join(outside, 'slots'))
    await cluster.stop()
    rmSync(join(cluster.dataDirectory, 'pg_replslot'), { recursive: true })
    symlinkSync(join(outside, 'slots'), join(cluster.dataDirectory, 'pg_replslot'))
    if (cluster.user !== undefined) chownSync(join(outside, 'slots'), cluster.user.uid, cluster.user.gid)
    // The server's group has access: all that initdb made is group-readable, and the directory says so.
    await mustRun('chmod', ['-R', 'g+rX', cluster.dataDirectory])
    put('server.key', 0o600, file)
    put('archive.sh', 0o750, file)
    put('readonly', 0o400, file)
    put('conf.d', 0o700, (path) => mkdirSync(path))
    put('conf.d/more.conf', 0o644, file)
    await mustRun('mkfifo', [join(cluster.dataDirectory, 'fifo')])
    put('fifo', 0o640, () => {})
    put('extra.conf', 0, (path) => symlinkSync(join(outside, 'extra.conf'), path))
    put('log', 0, (path) => symlinkSync(join(outside, 'logs'), path))
    put('nowhere', 0, (path) => symlinkSync('/no/such/file', path))
    put('conf.d/above', 0, (path) => symlinkSync('..', path))
    await makeSocket(join(cluster.dataDirectory, 'app.sock'))
    await cluster.start()
    agent = await AgentProgram.start(cluster)
    const directory = join(await cluster.makeDirectory('theirs'), 'backup')
    await cluster.run('pg_basebackup', ['-D', directory, '-c', 'fast', '--no-sync'])
    theirs = modesIn(directory)
  })

  afterAll(async () => {
    await agent.stop()
    await cluster.remove()
  })

  async function backUp(args: readonly string[]) {
    const scratch = createScratchDirectory()
    onTestFinished(() => scratch.remove())
    const directory = join(scratch.path, 'backup')
    const { status, stderr } = await runBackupProgram(cluster, { directory, args })
    return { status, stderr, modes: modesIn(directory) }
  }

  test('from an agent are those of pg_basebackup, with its warnings', async () => {
    const { status, stderr, modes } = await backUp([`--agent=${agent.socketDirectory}`])
    expect(status).toBe(0)
    expect(withoutWal(modes)).toEqual(withoutWal(theirs))
    expect(modes.get('server.key')).toBe('file 600')
    expect(modes.get('archive.sh')).toBe('file 750')
    expect(modes.get('base')).toBe('directory 750')
    // What a server makes a directory of, although it is a link.
    expect(modes.get('pg_replslot')).toBe('directory 750')
    const warnings = stderr.split('\n').filter((line) => line.includes('skipping'))
    expect(warnings.toSorted()).toEqual(
      specialFiles.map((name) => `pbmanifest: warning: skipping special file "./${name}"`),
    )
  })

  test('over SQL, links and special files are those that the server names', async () => {
    // The server keeps no WAL for it, and is asked by what makes a checkpoint.
    const { status, stderr, modes } = await backUp(['-P', '-X', 'fetch'])
    expect(stderr).not.toContain('error')
    expect(status).toBe(0)
    expect(Object.keys(withoutWal(modes)).toSorted()).toEqual(Object.keys(withoutWal(theirs)).toSorted())
    const warnings = stderr.split('\n').filter((line) => line.includes('skipping'))
    expect(warnings.toSorted()).toEqual(
      specialFiles.map((name) => `pbmanifest: warning: skipping special file "./${name}"`),
    )
  })

  test('over SQL, a role that cannot ask for them is told which are in doubt', async () => {
    await cluster.sql('CREATE ROLE reader LOGIN SUPERUSER NOREPLICATION')
    await cluster.sql('ALTER ROLE reader NOSUPERUSER; GRANT pg_read_all_settings TO reader')
    const functions = ['pg_ls_dir(text, boolean, boolean)', 'pg_stat_file(text, boolean)', 'pg_ls_waldir()']
    functions.push('pg_read_binary_file(text, bigint, bigint, boolean)', 'pg_backup_stop(boolean)')
    functions.push('pg_backup_start(text, boolean)')
    for (const name of functions) await cluster.sql(`GRANT EXECUTE ON FUNCTION pg_catalog.${name} TO reader`)
    rmSync(join(cluster.dataDirectory, 'conf.d/above'))
    onTestFinished(() => put('conf.d/above', 0, (path) => symlinkSync('..', path)))
    const { status, stderr, modes } = await backUp(['-U', 'reader', '-X', 'fetch'])
    expect(status).toBe(0)
    expect(stderr).toContain(
      'warning: could not find out which of "app.sock", "archive.sh", "conf.d", "extra.conf", "fifo" and 4 more are links or special files, so that what they lead to is copied: ',
    )
    expect(stderr).toContain('ALTER ROLE "reader" REPLICATION')
    expect(modes.get('fifo')).toBe('file 600')
    expect(modes.get('log/old.log')).toBe('file 600')
    expect(modes.has('nowhere')).toBe(false)
  })

  test('over SQL are never wider than on the server', async () => {
    const { status, modes } = await backUp([])
    expect(status).toBe(0)
    // PostgreSQL's own directories are as wide as the data directory.
    const own = ['base', 'global', 'pg_commit_ts', 'pg_replslot', 'pg_stat_tmp', 'pg_wal']
    expect(own.map((name) => modes.get(name))).toEqual(own.map(() => 'directory 750'))
    for (const [name, mode] of modes) {
      const own = theirs.get(name)
      if (own === undefined || !own.startsWith('file')) continue
      const wider = Number.parseInt(mode.slice(5), 8) & ~Number.parseInt(own.slice(5), 8)
      // Its owner may write what was for reading only.
      expect({ name, wider: wider & 0o077 }).toEqual({ name, wider: 0 })
    }
    expect(modes.get('server.key')).toBe('file 600')
    expect(modes.get('base/1/1259')).toBe('file 640')
    expect(modes.get('base')).toBe('directory 750')
    // What a server makes a directory of, although it is a link.
    expect(modes.get('pg_replslot')).toBe('directory 750')
  })
})
