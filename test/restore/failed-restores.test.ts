import { existsSync, mkdirSync, readFileSync, truncateSync } from 'node:fs'
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RestoreOptions, restoreBackup, type RestoreSource } from 'pbmanifest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { pbmanifest, shell } from '../cli/pbmanifest.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { writeSmallBackup } from '../cli/small-backup.js'
import { tarArchive, tarMember } from '../files/tar/make-tar.js'
import { poll } from '../helpers/poll.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { mountSmallDisk } from '../helpers/small-disk.js'
import { makeFifo } from '../verify/damage.js'
import {
  directories,
  empty,
  intactArchives,
  version,
  writeSmallTarBackup,
} from '../verify/tar/small-tar-backup.js'

let scratch: ScratchDirectory
let target: string

beforeEach(() => {
  scratch = createScratchDirectory()
  target = join(scratch.path, 'new', 'data')
})

afterEach(() => scratch.remove())

async function restore(from: RestoreSource, options: Partial<RestoreOptions> = {}): Promise<unknown> {
  return await restoreBackup(from, { directory: target, noParseWal: true, jobs: 2, ...options })
}

/** Why it failed; and whether parents that were made are gone, too. */
async function refusalOf(restoring: Promise<unknown>): Promise<unknown> {
  const error = await restoring.catch((error: unknown) => error)
  const { code, message } = error as { code?: string; message?: string }
  return { code, message, isGone: !existsSync(join(scratch.path, 'new')) }
}

describe('of a backup in plain format', () => {
  let backup: string

  beforeEach(async () => {
    backup = await writeSmallBackup(scratch.path)
  })

  test('that is intact makes a directory with modes and mark as PostgreSQL has them', async () => {
    await restore({ directory: backup })
    expect((await readdir(target)).filter((name) => /pbmanifest|\.tmp/.test(name))).toEqual([])
    expect(readFileSync(join(target, 'backup_manifest'))).toEqual(
      readFileSync(join(backup, 'backup_manifest')),
    )
    const modes = await shell(`find "$1" -type d ! -perm 700 -o -type f ! -perm 600`, target)
    expect(modes.stdout).toBe('')
    expect(existsSync(join(target, 'pg_wal/archive_status'))).toBe(true)
  })

  test('files that the manifest does not list are left, but for WAL and what pg_basebackup -R writes', async () => {
    const segment = '000000010000000000000002'
    for (const name of ['standby.signal', 'other', `pg_wal/${segment}`, 'pg_wal/other']) {
      await writeFile(join(backup, name), name)
    }
    await expect(restore({ directory: backup })).resolves.toMatchObject({ files: 2, unlistedFiles: 2 })
    expect(existsSync(join(target, 'standby.signal'))).toBe(true)
    expect(await readdir(join(target, 'pg_wal'))).toEqual([segment, 'archive_status'])
    expect(existsSync(join(target, 'other'))).toBe(false)
  })

  test.each([
    [
      'is damaged',
      (path: string) => writeFile(path, '16\n'),
      'checksum mismatch for file "PG_VERSION" of the backup',
    ],
    [
      'is longer',
      (path: string) => writeFile(path, '15\n\n'),
      '"PG_VERSION" has size 4 in the backup but size 3 in the manifest',
    ],
    ['is gone', (path: string) => rm(path), '"PG_VERSION" is present in the manifest but not in the backup'],
    [
      'is a FIFO',
      async (path: string) => {
        await rm(path)
        await makeFifo(path)
      },
      'could not read file "PG_VERSION" of the backup: it is not a regular file',
    ],
    [
      'leads in a circle',
      async (path: string) => {
        await rm(path)
        await symlink('PG_VERSION', path)
      },
      'could not read file "PG_VERSION" of the backup: Too many levels of symbolic links',
    ],
  ])('a file that %s leaves nothing', async (_, damage, message) => {
    await damage(join(backup, 'PG_VERSION'))
    expect(await refusalOf(restore({ directory: backup }))).toEqual({
      code: 'IO',
      message: message,
      isGone: true,
    })
  })

  test('what is there is not touched', async () => {
    await mkdir(target, { recursive: true })
    await writeFile(join(target, 'precious'), '')
    await expect(restore({ directory: backup })).rejects.toMatchObject({
      message: `directory "${target}" exists but is not empty`,
    })
    expect(await readdir(target)).toEqual(['precious'])
    await rm(join(target, 'precious'))
    await writeFile(join(backup, 'PG_VERSION'), '16\n')
    await expect(restore({ directory: backup })).rejects.toMatchObject({ code: 'IO' })
    expect(await readdir(target)).toEqual([])
  })

  test('without WAL is refused where that is not said to come from elsewhere', async () => {
    await expect(restoreBackup({ directory: backup }, { directory: target })).rejects.toMatchObject({
      message: 'what was restored does not verify',
      details: [expect.stringContaining('WAL parsing failed')],
      hint: expect.stringContaining('--no-parse-wal'),
    })
    expect(existsSync(target)).toBe(false)
  })

  test('a manifest that is damaged, or not there, is an error', async () => {
    truncateSync(join(backup, 'backup_manifest'), 100)
    expect(await refusalOf(restore({ directory: backup }))).toEqual({
      code: 'BAD_MANIFEST',
      message: expect.stringContaining('could not parse backup manifest'),
      isGone: true,
    })
    await rm(join(backup, 'backup_manifest'))
    expect(await refusalOf(restore({ directory: backup }))).toEqual({
      code: 'IO',
      message: expect.stringContaining('No such file or directory'),
      isGone: true,
    })
  })

  test('a full disk is an error, and is empty again', async () => {
    const disk = join(scratch.path, 'disk')
    const unmount = mountSmallDisk(disk, 'size=64k')
    if (unmount === undefined) return
    try {
      await writeFile(join(backup, 'pg_wal/000000010000000000000002'), Buffer.alloc(1024 * 1024))
      await expect(restore({ directory: backup }, { directory: join(disk, 'data') })).rejects.toMatchObject({
        code: 'IO',
        message: expect.stringContaining('No space left on device'),
      })
      expect(await readdir(disk)).toEqual([])
    } finally {
      unmount()
    }
  })
})

describe('of a backup in tar format', () => {
  let backup: string

  beforeEach(async () => {
    backup = await writeSmallTarBackup(scratch.path, intactArchives)
  })

  test('that is intact is restored, also a tablespace that no map has', async () => {
    await restore({ directory: backup })
    expect(readFileSync(join(target, 'pg_tblspc/16385/PG_15_202209061/5/16390'), 'utf8')).toBe('15\n15\n')
    expect(readFileSync(join(target, 'backup_manifest'))).toEqual(
      readFileSync(join(backup, 'backup_manifest')),
    )
  })

  const base = intactArchives['base.tar']

  test.each([
    ['is cut', { 'base.tar': base.subarray(0, -1500) }, 'archive "base.tar": it ends'],
    [
      'is cut within a file',
      { '16385.tar': intactArchives['16385.tar'].subarray(0, 514) },
      'archive "16385.tar": it ends in the middle',
    ],
    [
      'is there twice in one',
      { 'base.tar': Buffer.concat([base, base]) },
      'archive "base.tar": there are other bytes behind its end',
    ],
    ['is missing', { '16385.tar': undefined }, 'is present in the manifest but not in the backup'],
    ['is another one', { '16385.tar': base }, 'is present in the manifest but not in the backup'],
    [
      'has a file of another backup',
      { 'base.tar': tarArchive(...directories, tarMember({ name: 'PG_VERSION' }, '16\n'), empty) },
      'checksum mismatch for file "PG_VERSION" of the backup',
    ],
    [
      'has a file twice',
      { 'base.tar': tarArchive(version, version, empty) },
      'could not write file "PG_VERSION": File exists',
    ],
    [
      'has a link',
      {
        'base.tar': tarArchive(
          tarMember({ name: 'PG_VERSION', typeflag: '2', target: '/etc/passwd' }),
          empty,
        ),
      },
      'it is a symbolic link in archive "base.tar"',
    ],
    ['is there as two', { 'base.tgz': base }, 'should hold the same part of the backup'],
  ])('an archive that %s leaves nothing', async (_, archives, message) => {
    for (const [name, bytes] of Object.entries(archives)) {
      if (bytes === undefined) await rm(join(backup, name))
      else await writeFile(join(backup, name), bytes)
    }
    expect(await refusalOf(restore({ directory: backup }))).toEqual({
      code: 'IO',
      message: expect.stringContaining(message),
      isGone: true,
    })
  })

  test('members with names that lead out of the backup are passed over', async () => {
    await writeFile(
      join(backup, 'base.tar'),
      tarArchive(
        tarMember({ name: '../escaped' }, 'x'),
        tarMember({ name: '/tmp/escaped' }, 'x'),
        version,
        empty,
      ),
    )
    await restore({ directory: backup })
    expect(existsSync(join(scratch.path, 'new/escaped'))).toBe(false)
  })

  test.each([
    ['fails', 'exit 3', 'child process exited with exit code 3'],
    ['ends early', 'head -c 700 %f', 'it ends'],
    ['fails behind the last byte', 'cat %f; exit 4', 'child process exited with exit code 4'],
    ['hangs', 'sleep 1000', 'the command gave nothing for 1 s'],
    ['is not there', 'no-such-command', 'command not found'],
  ])('a command that %s leaves nothing', async (_, script, message) => {
    const fetchCommand = `cd '${backup}'; if [ %f = base.tar ]; then ${script}; else cat %f; fi`
    // Only where it hangs: others may take longer than that on a machine that has much to do.
    const fetchTimeoutSeconds = message.endsWith('for 1 s') ? 1 : 60
    expect(await refusalOf(restore({ fetchCommand, fetchTimeoutSeconds }))).toEqual({
      code: 'IO',
      message: expect.stringContaining(message),
      isGone: true,
    })
  })

  test('what a command says is passed on', async () => {
    const notices: string[] = []
    const fetchCommand = `cd '${backup}'; cat %f && echo "as %f" >&2`
    await restore({ fetchCommand }, { onNotice: (message) => notices.push(message) })
    expect(notices).toContain('fetch command for "base.tar": it wrote: as base.tar')
  })

  test('SIGINT in the middle ends the command, and leaves nothing', async () => {
    const fetchCommand = `cd '${backup}'; if [ %f = 16385.tar ]; then echo $$ > ../begun; sleep 1000; else cat %f; fi`
    const script = `"$NODE" "$MAIN" restore --no-parse-wal -j 2 -D "$1" --fetch-command "$2" & echo $! > "$3"
      wait $!; echo "status $?"`
    const run = shell(script, target, fetchCommand, join(scratch.path, 'pid'))
    await poll('the command', async () => existsSync(join(scratch.path, 'begun')))
    process.kill(Number(readFileSync(join(scratch.path, 'pid'), 'utf8')), 'SIGINT')
    expect((await run).stdout).toContain('status 130')
    expect(existsSync(join(scratch.path, 'new'))).toBe(false)
    const pid = readFileSync(join(scratch.path, 'begun'), 'utf8').trim()
    await poll(
      'its end',
      async () => !existsSync(`/proc/${pid}`) || / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')),
    )
  })

  test('a restore that was killed is recognised', async () => {
    const fetchCommand = `cd '${backup}'; if [ %f = 16385.tar ]; then echo $$ > ../child; echo $PPID > ../parent.tmp; mv ../parent.tmp ../parent; sleep 1000; else cat %f; fi`
    const run = pbmanifest([
      'restore',
      '--no-parse-wal',
      '-j2',
      '-D',
      target,
      '--fetch-command',
      fetchCommand,
    ])
    await poll('the command', async () => existsSync(join(scratch.path, 'parent')))
    process.kill(Number(readFileSync(join(scratch.path, 'parent'), 'utf8')), 'SIGKILL')
    process.kill(-Number(readFileSync(join(scratch.path, 'child'), 'utf8')), 'SIGKILL')
    expect((await run).status).toBe(null)
    expect(existsSync(join(target, 'backup_manifest'))).toBe(false)
    await expect(restore({ directory: backup })).rejects.toMatchObject({
      message: expect.stringContaining('holds an unfinished backup of pbmanifest'),
    })
  })
})

test('a command line that says too little, or too much, is refused', async () => {
  mkdirSync(join(scratch.path, 'backup'))
  for (const [args, message] of [
    [['backup'], 'no target directory specified'],
    [['-D', 'x'], 'no backup directory specified'],
    [
      ['-D', 'x', '--fetch-command', 'cat %f', 'backup'],
      'cannot specify both a backup directory and --fetch-command',
    ],
    [['-D', 'x', '--manifest-checksums=MD5', 'backup'], 'unrecognized checksum algorithm: "MD5"'],
    [['-D', 'x', '-T', 'a=b', 'backup'], 'old directory is not an absolute path in tablespace mapping: a'],
  ] as const) {
    expect(await runCommandLine(['restore', ...args])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining(message),
    })
  }
})
