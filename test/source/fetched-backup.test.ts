import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { verifyFetchedBackup, type VerifyFetchedOptions, type VerifyReport } from 'pbmanifest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { pbmanifest } from '../cli/pbmanifest.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { poll } from '../helpers/poll.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import {
  directories,
  empty,
  intactArchives,
  remote,
  version,
  writeSmallTarBackup,
} from '../verify/tar/small-tar-backup.js'
import { tarArchive, tarMember } from '../files/tar/make-tar.js'

let scratch: ScratchDirectory
let directory: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  directory = await writeSmallTarBackup(scratch.path, intactArchives)
})

afterEach(() => scratch.remove())

/** What a shell does for each name, in the directory of the backup. */
async function verify(script: string, options: Partial<VerifyFetchedOptions> = {}): Promise<VerifyReport> {
  const fetchCommand = `cd '${directory}' && ${script}`
  return await verifyFetchedBackup({ fetchCommand, noParseWal: true, jobs: 2, ...options })
}

/** In some containers nobody takes note of the end of a process whose parent is gone. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Does something else for one name. */
function except(name: string, script: string): string {
  return `if [ %f = ${name} ]; then ${script}; else cat %f; fi`
}

function found({ verdict, problems }: VerifyReport): unknown {
  return [verdict, problems.map(({ message, detail }) => [message, detail])]
}

test('a backup verifies whose parts a command gives, each by its name, and the report says which', async () => {
  const report = await verify(`echo %f >> ../asked; cat %f`)
  expect(report).toMatchObject({ verdict: 'verified', format: 'tar', filesChecked: 3, path: null })
  expect(report.options.fetchCommand).toBe(report.directory)
  const asked = readFileSync(join(scratch.path, 'asked'), 'utf8').trim().split('\n')
  expect(asked[0]).toBe('backup_manifest')
  expect(asked.toSorted()).toEqual(['16385.tar', 'backup_manifest', 'base.tar'])
})

test('compressed archives are found by the names that they can have', async () => {
  for (const [name, bytes] of Object.entries(intactArchives)) {
    await writeFile(join(directory, `${name}.gz`), gzipSync(bytes))
  }
  const report = await verify(`rm -f base.tar 16385.tar; cat %f`)
  expect(found(report)).toEqual(['verified', []])
})

test('how an archive is compressed, its bytes say, whatever the command makes of its name', async () => {
  expect(found(await verify(except('base.tar', 'gzip -c %f')))).toEqual(['verified', []])
})

test('%% is a percent sign', async () => {
  expect(found(await verify(`test "$(printf '%%s' a)" = a && cat %f`))).toEqual(['verified', []])
})

test('a tablespace that has no files is asked for, too', async () => {
  const map = tarMember({ name: 'tablespace_map' }, '16400 /elsewhere\n')
  await writeFile(join(directory, 'base.tar'), tarArchive(version, empty, map))
  const { problems } = await verify('cat %f')
  expect(problems.map(({ message }) => message)).toContain(
    'could not fetch archive "16400.tar": child process exited with exit code 1',
  )
})

describe('a command', () => {
  test.each([
    ['that fails', 'exit 3', 'child process exited with exit code 3'],
    ['that fails in the middle', 'head -c 700 %f; exit 4', 'child process exited with exit code 4'],
    ['that fails behind the last byte', 'cat %f; exit 5', 'child process exited with exit code 5'],
    ['that is killed', 'cat %f; kill -9 $$', 'child process was terminated by signal SIGKILL'],
    ['that is not there', 'no-such-command %f', 'command not found'],
    ['that cannot be executed', './backup_manifest', 'command not executable'],
    ['that gives nothing', 'true', 'the command gave no bytes'],
    ['that says something', 'cat %f; echo "be careful" >&2', 'the command wrote to standard error'],
    ['that hangs', 'head -c 700 %f; sleep 1000', 'the command gave nothing for 1 s'],
    ['that hangs with what it has left behind', 'cat %f; (sleep 1000 &)', 'the command gave nothing for 1 s'],
  ])('%s is a problem of that archive', async (_, script, why) => {
    // Only where it hangs: others may take longer than that on a machine that has much to do.
    const fetchTimeoutSeconds = why.endsWith('for 1 s') ? 1 : 60
    const report = await verify(except('base.tar', script), { fetchTimeoutSeconds })
    expect(report.verdict).toBe('failed')
    expect(report.problems.map(({ kind, path, message }) => [kind, path, message])).toContainEqual([
      'unreadable',
      'base.tar',
      `could not fetch archive "base.tar": ${why}`,
    ])
    // That of the other archive was seen.
    expect(report.problems.some(({ path }) => path?.startsWith('pg_tblspc') === true)).toBe(false)
  })

  test('that ends early without a word gives an archive that is cut', async () => {
    const report = await verify(except('base.tar', 'head -c 700 %f'))
    expect(found(report)).toEqual([
      'failed',
      [[expect.stringContaining('archive "base.tar": it ends'), expect.any(String)]],
    ])
  })

  test.each([
    [
      'fails',
      'echo "access denied" >&2; exit 1',
      'child process exited with exit code 1',
      ['it wrote: access denied'],
    ],
    ['gives nothing', 'true', 'the command gave no bytes', []],
  ])('that %s for the manifest is an error', async (_, script, why, details) => {
    await expect(verify(except('backup_manifest', script))).rejects.toMatchObject({
      code: 'IO',
      message: `could not fetch "backup_manifest": ${why}`,
      details,
    })
  })

  test('that gives the archive of another backup, or two in one, is found out', async () => {
    await writeFile(
      join(directory, 'twice.tar'),
      Buffer.concat([intactArchives['base.tar'], intactArchives['base.tar']]),
    )
    expect(
      (await verify(except('base.tar', 'cat twice.tar'))).problems.map(({ message }) => message),
    ).toEqual(['archive "base.tar": there are other bytes behind its end'])
    await writeFile(
      join(directory, 'other.tar'),
      tarArchive(...directories, tarMember({ name: 'PG_VERSION' }, '16\n')),
    )
    const { problemCounts } = await verify(except('base.tar', 'cat other.tar'))
    expect(problemCounts).toMatchObject({ 'checksum-mismatch': 1, missing: 1 })
    expect((await verify(except('16385.tar', 'cat base.tar'))).problemCounts).toMatchObject({ missing: 1 })
    expect(remote.length).toBeGreaterThan(0)
  })

  test('is ended with all that it has begun when the verification is stopped', async () => {
    const stop = new AbortController()
    const script = except(
      'base.tar',
      `(trap '' TERM; echo $$ > ../begun; sleep 1000 & echo $! > ../sleeping; wait)`,
    )
    const verification = verify(script, { signal: stop.signal })
    const ended = verification.catch((error: unknown) => error)
    const path = join(scratch.path, 'sleeping')
    const pid = await poll('the command', async () => existsSync(path) && Number(readFileSync(path, 'utf8')))
    stop.abort()
    expect(await ended).toMatchObject({ code: 'ABORTED' })
    await poll('its end', async () => !isRunning(pid))
  })
})

describe('on the command line', () => {
  test('the report is as that of a directory', async () => {
    const command = `cat '${directory}/%f'`
    const { status, stdout, stderr } = await pbmanifest(['verify', '-n', '--fetch-command', command])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('backup successfully verified')
    const json = await runCommandLine([
      'verify',
      '-n',
      '-v',
      '--output=json',
      '--fetch-command',
      `${command}; echo x >&2; :`,
    ])
    expect(json.status).toBe(5)
    const cut = await runCommandLine([
      'verify',
      '-n',
      '-F',
      'tar',
      '--fetch-command',
      `head -c 2000 '${directory}/%f'`,
    ])
    expect(cut.status).toBe(1)
    expect(cut.stdout).not.toContain('successfully verified')
  })

  test.each([
    [['--fetch-command', 'cat x'], 'invalid fetch command "cat x"', 'It has no %f'],
    [['--fetch-command', 'cat %f %p'], 'invalid fetch command "cat %f %p"', 'unexpected placeholder "%p"'],
    [['--fetch-command', 'cat %f %'], 'invalid fetch command "cat %f %"', 'ends with an escape character'],
    [['--fetch-command', 'cat %f', 'DIR'], 'cannot specify both a backup directory and --fetch-command', ''],
    [
      ['--fetch-command', 'cat %f', '-F', 'p'],
      'a backup in plain format cannot come from --fetch-command',
      '',
    ],
    [
      ['--fetch-command', 'cat %f', '--archive=base'],
      'cannot specify both --archive and --fetch-command',
      '',
    ],
    [['--fetch-command', 'cat %f', '--chain'], 'cannot specify both --chain and --fetch-command', ''],
    [['--fetch-timeout', '3', 'DIR'], '--fetch-timeout is for use with --fetch-command', ''],
    [
      ['--fetch-command', 'cat %f', '--fetch-timeout', '0'],
      'invalid value "0" for option --fetch-timeout',
      '',
    ],
  ])('%j is refused', async (args, message, hint) => {
    const { status, stderr } = await runCommandLine(['verify', ...args])
    expect(status).toBe(2)
    expect(stderr).toContain(message)
    expect(stderr).toContain(hint)
  })
})
