import { readdirSync, truncateSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { repairBackup, type RepairOptions, type RepairReport } from 'pbmanifest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pbmanifest } from '../cli/pbmanifest.js'
import { type BackupCopy, copyBackup } from '../helpers/copy-backup.js'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { packTarBackup } from '../helpers/tar-backups.js'
import { control, small } from '../verify/oracle-rows.js'
import { flipBit, largestFile, removeFile, walSegments } from '../verify/damage.js'

const timeout = 120_000

describeWithDebianPostgres('a backup is repaired from a copy in archives', (programs) => {
  let scratch: ScratchDirectory
  let archives: string
  /** Where copies are unpacked. */
  let temporary: string
  const before = process.env['TMPDIR']
  let backup: BackupCopy

  beforeAll(async () => {
    scratch = createScratchDirectory()
    const real = await realBackup(programs)
    backup = await copyBackup(real)
    archives = join(scratch.path, 'archives')
    temporary = join(scratch.path, 'tmp')
    await mkdir(temporary)
    process.env['TMPDIR'] = temporary
    await packTarBackup(real.directory, archives, ['--hard-dereference', '-h'], '.tar.gz')
  }, timeout)

  afterAll(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
    backup.remove()
    scratch.remove()
  })

  async function damage(): Promise<void> {
    const [segment] = await walSegments(backup)
    await removeFile(backup, 'PG_VERSION')
    await removeFile(backup, `pg_wal/${segment}`)
    await removeFile(backup, control)
    await flipBit(backup, await largestFile(backup, 'pg_tblspc/'))
    await flipBit(backup, await largestFile(backup, 'base/'))
    await rm(backup.manifestPath)
  }

  async function repair(
    from: RepairOptions['from'],
    options: Partial<RepairOptions> = {},
  ): Promise<RepairReport> {
    const links = backup.tablespaces.map(({ oid, directory }) => ({
      pathname: `pg_tblspc/${oid}`,
      directory,
    }))
    return await repairBackup(backup.directory, {
      from,
      links,
      manifestFromCopy: true,
      trustSize: true,
      jobs: 2,
      ...options,
    })
  }

  test.each([
    ['in a directory', () => archives],
    ['that a command gives', () => ({ fetchCommand: `cat '${archives}/%f'` })],
  ])('%s', { timeout }, async (_, from) => {
    await damage()
    const dry = await repair(from())
    expect(dry).toMatchObject({ verdict: 'repairable', isDryRun: true, bytesWritten: 0 })
    expect(dry.items).toHaveLength(6)
    const report = await repair(from(), { write: true })
    expect(report.items.filter(({ outcome }) => outcome !== 'repaired')).toEqual([])
    expect(report).toMatchObject({ verdict: 'verified', copy: { backup: 'same' } })
    expect(await pgVerifyBackup(programs, [backup.directory])).toMatchObject({ status: 0, stderr: '' })
    expect(readdirSync(temporary)).toEqual([])
  })

  test('that are damaged as far as they can be read', { timeout }, async () => {
    const cut = join(scratch.path, 'cut')
    await mkdir(cut)
    for (const name of readdirSync(archives)) await rename(join(archives, name), join(cut, name))
    truncateSync(join(cut, 'base.tar.gz'), 500)
    await removeFile(backup, small)
    // Wherever in the archive it stands, so few bytes are not all of it.
    const large = await largestFile(backup, 'base/')
    await removeFile(backup, large)
    const args = ['repair', '--write', '--fetch-command', `cat '${cut}/%f'`, backup.directory]
    const { status, stderr } = await pbmanifest(args, { TMPDIR: temporary })
    expect(status).toBe(1)
    expect(stderr).toContain(
      `could not read "${large}" of the copy: archive "base.tar.gz": its gzip data are damaged`,
    )
    expect(readdirSync(temporary)).toEqual([])
  })

  test('but not by a command line that names two, or none', async () => {
    for (const [args, message] of [
      [['--from', archives, '--fetch-command', 'cat %f'], 'cannot specify both --from and --fetch-command'],
      [['--fetch-command', 'cat'], 'invalid fetch command "cat"'],
      [['--from', archives, '--fetch-timeout=3'], '--fetch-timeout is for use with --fetch-command'],
      [[], 'no copy specified'],
    ] as const) {
      const run = await pbmanifest(['repair', ...args, backup.directory])
      expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining(message) })
    }
  })
})
