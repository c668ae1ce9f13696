import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv2020, type Schema } from 'ajv/dist/2020.js'
import type { DrillReport } from 'pbmanifest'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { mainFile, pbmanifest } from '../cli/pbmanifest.js'
import type { BackupCopy } from '../helpers/copy-backup.js'
import type { PlainBackup } from '../helpers/plain-backup.js'
import { poll } from '../helpers/poll.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { mustRun } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { mountSmallDisk } from '../helpers/small-disk.js'
import { unprivilegedUser } from '../helpers/unprivileged-user.js'
import { addFile, listedFiles, overwrite, removeFile, walSegments } from '../verify/damage.js'
import { linkedCopy } from '../verify/linked-copy.js'

const user = unprivilegedUser()
const asUser = user === undefined ? [] : [`--as=${user.name}`]

describeWithDebianPostgres('pbmanifest drill', (programs) => {
  let real: PlainBackup
  let scratch: ScratchDirectory
  let backup: BackupCopy

  beforeAll(async () => {
    real = await realBackup(programs)
  }, 240_000)

  beforeEach(async () => {
    scratch = createScratchDirectory()
    backup = await linkedCopy(real)
  })

  afterEach(() => {
    backup.remove()
    scratch.remove()
  })

  function argumentsWith(...args: readonly string[]): string[] {
    return ['drill', `-b${programs.bin}`, '--scratch', scratch.path, ...asUser, ...args, backup.directory]
  }

  function drill(...args: readonly string[]): ReturnType<typeof pbmanifest> {
    return pbmanifest(argumentsWith(...args))
  }

  async function drillReport(...args: readonly string[]): Promise<DrillReport> {
    const { stdout } = await drill('--output=json', ...args)
    const [own, verify] = ['drill-report', 'verify-report'].map((name) => {
      const url = new URL(`../../schemas/${name}.schema.json`, import.meta.url)
      return JSON.parse(readFileSync(url, 'utf8')) as Schema
    })
    const report: unknown = JSON.parse(stdout)
    const ajv = new Ajv2020({ schemas: [verify ?? {}], strictTypes: false, strictRequired: false })
    expect(ajv.validate(own ?? {}, report)).toBe(true)
    return report as DrillReport
  }

  /** Of a drill that goes on until it is ended: its checks take for ever. */
  async function endlessDrill(): Promise<string[]> {
    const sql = join(scratch.path, 'endless.sql')
    await writeFile(sql, 'SELECT pg_sleep(3600);')
    return argumentsWith('--sql', sql)
  }

  /** What drills have left, but for files of SQL. */
  function leftovers(): string[] {
    return readdirSync(scratch.path).filter((name) => name.startsWith('pbmanifest-drill-'))
  }

  test('has a server recover on a good backup, with its tablespaces, and leaves all as it was', async () => {
    const sql = join(scratch.path, 'checks.sql')
    await writeFile(
      sql,
      'SELECT 1 / count(*) FROM large; SELECT 1 / count(*) FROM other; UPDATE small SET n = n;',
    )
    const before = await mustRun('find', [backup.root, '-printf', '%P %y %i %s %T@ %l\n'])
    const report = await drillReport('--amcheck', '--sql', sql)
    expect(report).toMatchObject({
      verdict: 'passed',
      failure: null,
      until: 'end',
      backup: { majorVersion: 15 },
      checks: [
        { what: 'databases', isPassed: true, objects: 3 },
        { what: 'amcheck', isPassed: true, findingCount: 0 },
        { what: 'sql', isPassed: true },
      ],
    })
    expect(report.recovery?.consistentLsn).toMatch(/^0\//)
    expect(await mustRun('find', [backup.root, '-printf', '%P %y %i %s %T@ %l\n'])).toEqual(before)
    expect(leftovers()).toEqual([])
  })

  test('ends recovery where the backup is consistent, when told to', async () => {
    const { status, stdout, stderr } = await drill('--until=consistent')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(
      /^drill passed: a server recovered on a copy of the backup\ncopied .* MB in .* s.*; consistent after .*; recovered after .*; 3 databases good/,
    )
  })

  test('says that it is the backup that failed, when its WAL is missing', async () => {
    for (const name of await walSegments(backup)) await removeFile(backup, `pg_wal/${name}`)
    const { status, stdout, stderr } = await drill()
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toContain('the server could not recover: could not locate required checkpoint record')
    expect(stderr).toContain('drill failed: it is the backup that failed')
    // The server recommends to remove backup_label.
    expect(stderr).not.toContain('HINT')
    expect(leftovers()).toEqual([])
  })

  test('finds a damaged index', async () => {
    const index = await largestUserIndex(backup)
    // In a leaf page, of the entries at its end.
    await overwrite(backup, index, 3 * 8192 + 8000, Buffer.alloc(64, 0x77))
    const { status, stderr } = await drill('--amcheck')
    expect(status).toBe(1)
    expect(stderr).toMatch(/error: database "(?:postgres|second)", "large_n_idx": /)
    expect(stderr).toContain('error: amcheck found damage\n')
    expect(stderr).toContain('drill failed: it is the backup that failed')
    expect(leftovers()).toEqual([])
  })

  test('says that it is the backup that failed, when a database cannot be used', async () => {
    // pg_class of "postgres".
    await removeFile(backup, 'base/5/1259')
    const { status, stderr } = await drill('--amcheck')
    expect(status).toBe(1)
    expect(stderr).toContain('error: database "postgres": could not open file "base/5/1259"')
    expect(stderr).toContain('a database cannot be used, and amcheck found damage')
    expect(stderr).toContain('drill failed: it is the backup that failed')
  })

  test('takes no file of SQL that is none', async () => {
    expect(await drill('--sql', scratch.path)).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('it is not a regular file'),
    })
  })

  test('says that it is the backup that failed, when SQL fails', async () => {
    const sql = join(scratch.path, 'checks.sql')
    await writeFile(sql, 'SELECT 1;\nSELECT * FROM nothing;\n')
    const { status, stderr } = await drill('--sql', sql)
    expect(status).toBe(1)
    expect(stderr).toContain('relation "nothing" does not exist')
    expect(stderr).toContain('error: the SQL failed')
  })

  test('takes nothing over of the settings of the backup', async () => {
    const settings = `shared_preload_libraries = 'not_there'
      archive_mode = on
      archive_command = 'touch ${scratch.path}/archived'
      primary_conninfo = 'host=${scratch.path}'
      listen_addresses = '*'\n`
    for (const name of ['postgresql.conf', 'postgresql.auto.conf']) await addFile(backup, name, settings)
    await addFile(backup, 'standby.signal', '')
    const { status, stderr } = await drill()
    expect(status).toBe(0)
    expect(stderr).toMatch(/^pbmanifest: warning: the settings of the backup load "not_there" .*\n$/)
    expect(existsSync(join(scratch.path, 'archived'))).toBe(false)
  })

  test('says that it is the drill that failed, when a library is not there', async () => {
    const { status, stderr } = await drill('-c', 'shared_preload_libraries=not_there')
    expect(status).toBe(6)
    expect(stderr).toContain('the server did not start: could not access file "not_there"')
    expect(stderr).toContain('hint: Install the library for this server')
    expect(stderr).toContain('drill failed: it is the drill that failed, and nothing is known of the backup')
    expect(leftovers()).toEqual([])
  })

  test('says that it is the drill that failed, when nobody of the name is there', async () => {
    const report = await drillReport('-Unobody_here')
    expect(report).toMatchObject({
      verdict: 'failed',
      failure: { part: 'drill', message: 'role "nobody_here" does not exist' },
    })
  })

  test.each([
    {
      name: 'a value of a setting',
      args: ['-cwork_mem'],
      message: 'invalid value "work_mem" for option -c/--set',
    },
    {
      name: 'a setting that leads out',
      args: ['-carchive-command=true'],
      message: 'the setting "archive_command" of a drill cannot be changed',
    },
    { name: 'a user', args: ['--as=nobody-here'], message: 'there is no user "nobody-here"' },
    {
      name: 'programs that are not there',
      args: ['-b/nowhere'],
      message: 'could not run "/nowhere/postgres"',
    },
  ])('refuses $name', async ({ args, message }) => {
    const { status, stdout, stderr } = await drill(...args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(leftovers()).toEqual([])
  })

  test('refuses the programs of another major version', async () => {
    const { bin } = await embeddedPostgres()
    const { status, stderr } = await drill('-b', bin)
    expect(status).toBe(2)
    expect(stderr).toContain('but the backup is of PostgreSQL 15')
  })

  test('refuses to run a server as root', async (context) => {
    if (user === undefined) context.skip('we are not root')
    const { status, stderr } = await pbmanifest(['drill', `-b${programs.bin}`, backup.directory])
    expect(status).toBe(2)
    expect(stderr).toContain(
      'a server of PostgreSQL cannot be run as root\npbmanifest: hint: Say with --as=USER',
    )
  })

  test('says that there is not enough space, before anything is copied', async (context) => {
    const disk = join(scratch.path, 'disk')
    const unmount = mountSmallDisk(disk, 'size=16m')
    try {
      if (unmount === undefined) context.skip('a file system cannot be mounted here')
      const { status, stderr } = await drill('--scratch', disk)
      expect(status).toBe(5)
      expect(stderr).toMatch(/error: not enough space for the copy in .* MB are needed, 16 MB available\n/)
      expect(readdirSync(disk)).toEqual([])
    } finally {
      unmount?.()
    }
  })

  test('refuses a directory in which a server may run', async () => {
    await addFile(backup, 'postmaster.pid', '1\n')
    expect(await drill()).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('Is a server running in it?'),
    })
  })

  test('says what is wrong with something that is no backup', async () => {
    await removeFile(backup, 'global/pg_control')
    expect(await drill()).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('"global/pg_control" is not there'),
    })
    await removeFile(backup, 'PG_VERSION')
    expect(await drill()).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('is no backup in plain format'),
    })
  })

  describe.each(['SIGTERM', 'SIGKILL'] as const)('when it is ended by %s', (signal) => {
    test.each(['copies', 'recovers'] as const)('while it %s, it leaves nothing', async (moment) => {
      const child = spawn(process.execPath, [mainFile, ...(await endlessDrill())], { stdio: 'ignore' })
      const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
      const file = moment === 'copies' ? 'data/base' : 'data/postmaster.pid'
      const isThen = (): boolean => leftovers().some((name) => existsSync(join(scratch.path, name, file)))
      await poll('the drill to be so far', async () => await Promise.resolve(isThen()), { interval: 1 })
      child.kill(signal)
      expect(await ended).toBe(signal === 'SIGTERM' ? 143 : null)
      await poll('all to be removed', async () => await Promise.resolve(leftovers().length === 0))
      await poll('all to have ended', async () => await Promise.resolve(serversIn(scratch.path).length === 0))
    })
  })

  test('removes what is left of a drill that was killed together with its shell', async () => {
    const child = spawn(process.execPath, [mainFile, ...(await endlessDrill())], { stdio: 'ignore' })
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    const server = await poll('the server', async () => await Promise.resolve(serversIn(scratch.path)[0]), {
      interval: 5,
    })
    // The shell is the leader of the server's group.
    const shell = Number(readFileSync(`/proc/${server}/stat`, 'utf8').split(') ')[1]?.split(' ')[1])
    // So that it does not see the other one's end.
    process.kill(shell, 'SIGSTOP')
    child.kill('SIGKILL')
    process.kill(shell, 'SIGKILL')
    await ended
    const [left] = leftovers()
    expect(left).toBeDefined()
    expect(await drill()).toMatchObject({ status: 0 })
    expect(leftovers()).toEqual([])
    await poll('all to have ended', async () => await Promise.resolve(serversIn(scratch.path).length === 0))
  })
})

/** The processes that work in a data directory below this one. */
function serversIn(directory: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => {
    try {
      return (
        readlinkSync(`/proc/${pid}/cwd`).startsWith(directory) &&
        /\/data/.test(readlinkSync(`/proc/${pid}/cwd`))
      )
    } catch {
      return false
    }
  })
}

/** The largest file that begins as a B-tree index does, of those that are no catalog's. */
async function largestUserIndex(backup: PlainBackup): Promise<string> {
  const files = (await listedFiles(backup)).toSorted((left, right) => right.size - left.size)
  for (const { pathname } of files) {
    if (!/^base\/\d+\/\d{5}$/.test(pathname)) continue
    const handle = await open(join(backup.directory, pathname))
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 24)
    await handle.close()
    // @see src/include/access/nbtree.h (BTREE_MAGIC)
    if (buffer.readUInt32LE() === 0x053162) return pathname
  }
  throw new Error('the backup has no index of a user')
}
