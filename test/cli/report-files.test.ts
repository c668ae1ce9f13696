import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { cp, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import parsePrometheus from 'parse-prometheus-text-format'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { validatorOf } from '../../src/schemas/validator.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { mountSmallDisk } from '../helpers/small-disk.js'
import { pbmanifest, shell } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'
import { writeSmallBackup } from './small-backup.js'

/** What a name may hold, and what is seen of it. */
const hostileName = 'a|b\n"c"\\<script>\u202e&\u0001'
const shownName = String.raw`a|b\x0a"c"\<script>\xe2\x80\xae&\x01`

let scratch: ScratchDirectory
let backup: string
let damaged: string
let file: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  backup = await writeSmallBackup(scratch.path)
  damaged = join(scratch.path, 'damaged')
  await cp(backup, damaged, { recursive: true })
  await writeFile(join(damaged, 'PG_VERSION'), '16\n')
  file = join(scratch.path, 'report')
})

afterEach(() => scratch.remove())

/** The samples of Prometheus's text, by metric: labels and value. */
function samplesIn(text: string): Record<string, { labels: Record<string, string>; value: number }[]> {
  const families = parsePrometheus(text)
  for (const { name, help, type } of families) {
    expect(name).toMatch(/^pbmanifest_[a-z_]+$/)
    expect(help).not.toBe('')
    expect(type).toBe('GAUGE')
  }
  return Object.fromEntries(
    families.map(({ name, metrics }) => [
      name.replace('pbmanifest_verify_', ''),
      metrics.map(({ labels = {}, value }) => ({ labels, value: Number(value) })),
    ]),
  )
}

describe('a file for Prometheus', () => {
  test('has a verdict, and what was counted, of each backup', async () => {
    const nothing = join(scratch.path, 'nothing')
    const args = ['verify', '-nq', '--report', `prometheus=${file}`, backup, damaged, nothing]
    expect(await pbmanifest(args)).toMatchObject({ status: 1 })
    const samples = samplesIn(readFileSync(file, 'utf8'))
    expect(samples['success']).toEqual([
      { labels: { directory: backup }, value: 1 },
      { labels: { directory: damaged }, value: 0 },
      { labels: { directory: nothing }, value: 0 },
    ])
    const holds = samples['verdict']
      ?.filter(({ value }) => value === 1)
      .map(({ labels }) => labels['verdict'])
    expect(holds).toEqual(['verified', 'failed', 'error'])
    expect(samples['problems']?.filter(({ value }) => value > 0)).toEqual([
      { labels: { directory: damaged, kind: 'checksum-mismatch' }, value: 1 },
    ])
    expect(samples['size_bytes']).toEqual([
      { labels: { directory: backup }, value: 3 },
      { labels: { directory: damaged }, value: 3 },
    ])
    const [begun] = samples['start_timestamp_seconds'] ?? []
    expect(begun?.value).toBeGreaterThan(1.7e9)
    expect(begun?.value).toBeLessThan(Date.now() / 1000 + 1)
    // Whoever reads it is another user.
    expect(statSync(file).mode & 0o777).toBe(0o666 & ~process.umask())
  })

  test('keeps every name within its label', async () => {
    const odd = join(scratch.path, hostileName)
    await rename(backup, odd)
    const { status } = await runCommandLine(['verify', '-nq', '--report', `prometheus=${file}`, odd])
    expect(status).toBe(0)
    const samples = samplesIn(readFileSync(file, 'utf8'))
    expect(samples['success']).toEqual([{ labels: { directory: `${scratch.path}/${shownName}` }, value: 1 }])
  })

  test('says also of a single backup that it could not be verified', async () => {
    await rm(join(backup, 'backup_manifest'))
    const { status, stderr } = await runCommandLine(['verify', '--report', `prometheus=${file}`, backup])
    expect(status).toBe(5)
    expect(stderr.match(/error: /g)).toHaveLength(1)
    const { success, verdict } = samplesIn(readFileSync(file, 'utf8'))
    expect(success).toEqual([{ labels: { directory: backup }, value: 0 }])
    expect(verdict).toContainEqual({ labels: { directory: backup, verdict: 'error' }, value: 1 })
  })
})

describe('a JSON file', () => {
  test.each([
    { what: 'one backup', names: ['backup'], schema: 'verify-report' },
    { what: 'several', names: ['backup', 'damaged'], schema: 'verify-backups-report' },
    { what: 'one without a manifest', names: ['nothing'], schema: 'error' },
  ] as const)('of $what is what --output=json prints', async ({ names, schema }) => {
    const paths = names.map((name) => join(scratch.path, name))
    const { stdout } = await runCommandLine([
      'verify',
      '-n',
      '--output=json',
      '--report',
      `json=${file}`,
      ...paths,
    ])
    expect(readFileSync(file, 'utf8')).toBe(stdout)
    expect(validatorOf(schema)(JSON.parse(stdout))).toBeUndefined()
  })
})

test('several files are written of one run, whatever goes to standard output', async () => {
  const args = ['--report', `json=${file}.json`, `--report=prometheus=${file}.prom`]
  const { status, stdout } = await runCommandLine(['verify', '-n', ...args, backup])
  expect({ status, line: stdout.split('\n')[0] }).toEqual({ status: 0, line: 'backup successfully verified' })
  expect(statSync(`${file}.json`).size).toBeGreaterThan(0)
  expect(statSync(`${file}.prom`).size).toBeGreaterThan(0)
})

test('a file that is there is replaced at once, and nothing is left beside it', async () => {
  await writeFile(file, 'old')
  const before = statSync(file).ino
  expect(await runCommandLine(['verify', '-nq', '--report', `json=${file}`, backup])).toMatchObject({
    status: 0,
  })
  expect(statSync(file).ino).not.toBe(before)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ verdict: 'verified' })
  expect(readdirSync(scratch.path).toSorted()).toEqual(['backup', 'damaged', 'report'])
})

describe('what cannot be written', () => {
  test('is refused where it would be a file of a backup', async () => {
    const tablespace = join(scratch.path, 'tablespace')
    await mkdir(join(tablespace, 'PG_15_202209061'), { recursive: true })
    await symlink(tablespace, join(backup, 'pg_tblspc/16385'))
    await symlink('backup', join(scratch.path, 'latest'))
    await symlink('backup/base/report', join(scratch.path, 'link'))
    writeFileSync(join(backup, 'base/report'), '')
    for (const place of ['backup/x', 'latest/x', 'backup/base/1/x', 'tablespace/PG_15_202209061/x', 'link']) {
      const path = join(scratch.path, place)
      for (const backups of [[backup], [damaged, backup]]) {
        const { status, stdout, stderr } = await runCommandLine([
          'verify',
          '--report',
          `json=${path}`,
          ...backups,
        ])
        expect({ place, status, stdout }).toEqual({ place, status: 2, stdout: '' })
        expect(stderr).toContain(`pbmanifest: error: report "${path}" would be in the backup "${backup}"\n`)
      }
    }
  })

  test.each([
    ['prometheus', 'It must be one of: '],
    ['nonsense=x', 'It must be one of: '],
    ['json=', 'It must be one of: '],
    ['=x', 'It must be one of: '],
    ['json=-', '--report does not write to standard output'],
  ])('is refused as %j', async (value, words) => {
    const { status, stdout, stderr } = await runCommandLine(['verify', '--report', value, backup])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(words)
  })

  test('is refused twice in one place', async () => {
    const args = ['--report', `json=${file}`, '--report', `prometheus=${scratch.path}/./report`]
    const { status, stderr } = await runCommandLine(['verify', ...args, backup])
    expect(status).toBe(2)
    expect(stderr).toContain('two reports are to be written into "')
  })

  test('is refused with --chain', async () => {
    const words = 'cannot specify both --chain and --report'
    const result = await runCommandLine(['verify', '--chain', '--report', `json=${file}`, backup, damaged])
    expect(result.stdout + result.stderr).toContain(words)
    expect(result.status).toBe(2)
  })

  test('is known before anything is verified', async () => {
    const path = join(scratch.path, 'no/such/directory')
    expect(await runCommandLine(['verify', '--report', `json=${path}`, damaged])).toEqual({
      status: 5,
      stdout: '',
      stderr: `pbmanifest: error: could not write file "${path}": No such file or directory\n`,
    })
  })

  test('does not keep the verdict from being told, nor another file from being written', async (context) => {
    const disk = join(scratch.path, 'disk')
    const unmount = mountSmallDisk(disk, 'size=8k')
    try {
      if (unmount === undefined) context.skip('a file system cannot be mounted here')
      expect(() => writeFileSync(join(disk, 'filler'), Buffer.alloc(1024 * 1024))).toThrow('ENOSPC')
      const args = ['--report', `json=${disk}/report`, '--report', `prometheus=${file}`]
      const good = await runCommandLine(['verify', '-n', ...args, backup])
      expect(good.status).toBe(5)
      expect(good.stdout).toMatch(/^backup successfully verified\n/)
      expect(good.stderr).toMatch(
        /^pbmanifest: error: could not (?:write|create) file ".*": No space left on device\n$/,
      )
      // Damage is worse.
      expect(await runCommandLine(['verify', '-n', ...args, damaged])).toMatchObject({ status: 1 })
      expect(samplesIn(readFileSync(file, 'utf8'))['success']?.[0]?.value).toBe(0)
      expect(readdirSync(disk)).toEqual(['filler'])

      const plugin = await runCommandLine(['verify', '-n', '--output=nagios', ...args, backup])
      expect({ status: plugin.status, stderr: plugin.stderr }).toEqual({ status: 3, stderr: '' })
      expect(plugin.stdout).toMatch(
        /^PBMANIFEST UNKNOWN - could not .*: No space left on device; backup successfully verified: /,
      )
    } finally {
      unmount?.()
    }
  })
})

describe('the line of a plugin', () => {
  const data =
    /^backups=1;;;0 unverified=0;;;0 problems=(\d+);;0;0 files=2;;;0 size=3B;;;0 pages=0;;;0 time=\d+\.\d{3}s;;;0$/

  test.each([
    {
      what: 'a good backup',
      path: 'backup',
      status: 0,
      words: 'OK - backup successfully verified: 2 files, ',
    },
    {
      what: 'a damaged one',
      path: 'damaged',
      status: 2,
      words:
        'CRITICAL - backup verification failed: 1 problem (1 checksum-mismatch), first: checksum mismatch for file "PG_VERSION"',
    },
  ])('says of $what what it is, and the status of plugins', async ({ path, status, words }) => {
    const result = await runCommandLine(['verify', '-n', '--output=nagios', join(scratch.path, path)])
    expect({ status: result.status, stderr: result.stderr }).toEqual({ status, stderr: '' })
    const [line = '', ...rest] = result.stdout.split('\n')
    expect(rest).toEqual([''])
    expect(line.startsWith(`PBMANIFEST ${words}`)).toBe(true)
    const [, performance = '', ...more] = line.split(' | ')
    expect(more).toEqual([])
    expect(data.exec(performance)?.[1]).toBe(status === 0 ? '0' : '1')
  })

  test.each([
    { what: 'a part', args: ['-n', '-i', 'base', '-i', 'PG_VERSION', 'BACKUP'], status: 1, word: 'WARNING' },
    { what: 'no manifest', args: ['-n', 'NOTHING'], status: 3, word: 'UNKNOWN' },
    {
      what: 'several, of which one is bad',
      args: ['-n', 'NOTHING', 'BACKUP', 'DAMAGED'],
      status: 2,
      word: 'CRITICAL',
    },
    { what: 'several, of which one is none', args: ['-n', 'NOTHING', 'BACKUP'], status: 3, word: 'UNKNOWN' },
    { what: 'several good ones', args: ['-n', 'BACKUP', 'COPY'], status: 0, word: 'OK' },
    { what: 'no operand', args: [], status: 3, word: 'UNKNOWN' },
    { what: 'an option that nobody knows', args: ['--nonsense', 'BACKUP'], status: 3, word: 'UNKNOWN' },
    {
      what: 'a file for a report in the backup',
      args: ['--report', 'json=BACKUP/x', 'BACKUP'],
      status: 3,
      word: 'UNKNOWN',
    },
  ])('has a word and a status for $what', async ({ args, status, word }) => {
    await cp(backup, join(scratch.path, 'copy'), { recursive: true })
    const real = args.map((arg) =>
      arg.replace(/NOTHING|BACKUP|DAMAGED|COPY/, (name) => join(scratch.path, name.toLowerCase())),
    )
    const result = await runCommandLine(['verify', '--output=nagios', ...real])
    expect({ status: result.status, stderr: result.stderr }).toEqual({ status, stderr: '' })
    expect(result.stdout).toMatch(new RegExp(`^PBMANIFEST ${word} - [^\\n]+\\n$`))
  })

  test('is one line with one bar, whatever the names hold', async () => {
    await writeFile(join(damaged, hostileName), '')
    await rm(join(damaged, 'PG_VERSION'))
    const odd = join(scratch.path, `${hostileName}2`)
    await rename(damaged, odd)
    for (const backups of [[odd], [odd, backup]]) {
      const { status, stdout } = await runCommandLine(['verify', '-n', '--output=nagios', ...backups])
      expect(status).toBe(2)
      const shown = shownName.replace('|', String.raw`\x7c`)
      expect(stdout).toContain(`"${shown}`)
      expect(stdout.match(/\|/g)).toHaveLength(1)
      expect(stdout.match(/\n/g)).toHaveLength(1)
    }
  })

  test('does not end in another status when it is stopped', async () => {
    const line = `mkfifo "$1/pipe"; pbmanifest verify --output=nagios -m "$1/pipe" "$1/backup" & pid=$!
      exec 3>"$1/pipe"; kill -TERM $pid; wait $pid; echo "status $?"`
    const real = line.replace('pbmanifest verify', 'exec "$NODE" "$MAIN" verify')
    const { stdout, stderr } = await shell(real, scratch.path)
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^PBMANIFEST UNKNOWN - terminated\nstatus 3\n$/)
  })
})
