import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mergeReports, verifyBackup, verifyShard } from 'pbmanifest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { pbmanifest } from '../cli/pbmanifest.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { emptyFile, formatManifest, versionFile, writeSmallBackup, writeTree } from '../cli/small-backup.js'
import { tarArchive, tarMember } from '../files/tar/make-tar.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { sameForAnyJobs } from '../verify/same-for-any-jobs.js'
import { empty, intactArchives, version, writeSmallTarBackup } from '../verify/tar/small-tar-backup.js'
import { archiveDamages } from './archive-damages.js'
import { mergedReport, writeFragments } from './merged-report.js'

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

describe('a small backup in tar format', () => {
  test.each(Object.entries(archiveDamages))('merged is as the whole: %s', async (_name, damage) => {
    const directory = await writeSmallTarBackup(scratch.path, { ...intactArchives, ...damage })
    const whole = sameForAnyJobs(await verifyBackup(directory, { noParseWal: true }))
    for (const shards of [1, 2, 3]) {
      const merged = await mergedReport(directory, shards, { noParseWal: true })
      expect(sameForAnyJobs(merged)).toEqual(whole)
    }
  })

  test('is refused when an archive has files of another that has one', async () => {
    const stray = tarMember({ name: 'pg_tblspc/16385/PG_15_202209061/5/16390' }, '15\n15\n')
    const directory = await writeSmallTarBackup(scratch.path, {
      ...intactArchives,
      'base.tar': tarArchive(version, empty, stray),
    })
    const options = { shard: 1, shards: 2, output: join(scratch.path, 'f'), noParseWal: true }
    await expect(verifyShard(directory, options)).rejects.toThrow(
      'file "pg_tblspc/16385/PG_15_202209061/5/16390" is in another archive than that of its tablespace',
    )
    expect(readdirSync(scratch.path)).toEqual(['backup'])
  })

  test('is refused when its archives are others for each shard', async () => {
    const directory = await writeSmallTarBackup(scratch.path, intactArchives)
    const [first = ''] = await writeFragments(directory, scratch.path, 2, { noParseWal: true })
    await writeFile(join(directory, '16387.tar'), tarArchive())
    const output = join(scratch.path, 'second')
    await verifyShard(directory, { shard: 2, shards: 2, output, noParseWal: true })
    await expect(mergeReports([first, output])).rejects.toMatchObject({ code: 'CANNOT_MERGE' })
  })
})

describe('a small backup', () => {
  let directory: string

  beforeEach(async () => {
    directory = await writeSmallBackup(scratch.path)
  })

  test('has no fewer problems for files and directories that no manifest knows', async () => {
    await writeTree(directory, {
      extra: 'x',
      'base/1/extra': 'x',
      'base/2/below/extra': 'x',
      'unknown/extra': 'x',
      'pg_twophase/0001': 'x',
    })
    await rm(join(directory, 'pg_notify'), { recursive: true })
    await rename(join(directory, 'base/1/16384'), join(directory, 'base/1/16385'))
    const whole = sameForAnyJobs(await verifyBackup(directory, { noParseWal: true }))
    expect(whole.problems).toHaveLength(8)
    for (const shards of [1, 2, 5]) {
      const merged = await mergedReport(directory, shards, { noParseWal: true })
      expect(sameForAnyJobs(merged)).toEqual(whole)
    }
  })

  test('gives the same fragment for a shard that is verified again', async () => {
    await writeTree(directory, { 'base/1/extra': 'x' })
    const read = async (name: string): Promise<string[]> => {
      const output = join(scratch.path, name)
      await verifyShard(directory, { shard: 1, shards: 2, output, noParseWal: true })
      return readFileSync(output, 'utf8').split('\n')
    }
    const [first, second] = [await read('first'), await read('second')]
    // The last two lines, and what is behind the last line feed, tell of the run.
    expect(second.slice(0, -3)).toEqual(first.slice(0, -3))
    const findings = /"findingsChecksum":"[0-9a-f]{64}"/
    expect(findings.exec(second.at(-2) ?? '')?.[0]).toBe(findings.exec(first.at(-2) ?? '')?.[0])
  })

  test('is not merged of fragments that are cut or changed anywhere', async () => {
    await writeTree(directory, { 'base/1/extra': 'x' })
    const fragments = await writeFragments(directory, scratch.path, 2, { noParseWal: true })
    await expect(mergeReports(fragments)).resolves.toMatchObject({ verdict: 'failed' })
    const [changed = ''] = fragments
    const bytes = readFileSync(changed)
    for (let at = 0; at < bytes.length; at += 31) {
      writeFileSync(changed, bytes.subarray(0, at))
      await expect(mergeReports(fragments), `cut to ${at} bytes`).rejects.toMatchObject({
        code: expect.stringMatching(/^(CANNOT_MERGE|BAD_FRAGMENT)$/),
      })
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] ?? 0) ^ 1
      writeFileSync(changed, flipped)
      await expect(mergeReports(fragments), `changed at ${at}`).rejects.toMatchObject({
        code: expect.stringMatching(/^(CANNOT_MERGE|BAD_FRAGMENT)$/),
      })
    }
  })

  test('is not merged of fragments that do not belong together, which are all named', async () => {
    const [first = '', second = ''] = await writeFragments(directory, scratch.path, 3, { noParseWal: true })
    await writeFile(
      join(directory, 'backup_manifest'),
      formatManifest([versionFile, emptyFile], { start: '0/2000028', end: '0/2000200' }),
    )
    const other = join(scratch.path, 'other')
    await verifyShard(directory, { shard: 2, shards: 3, output: other, noParseWal: true })
    const empty = join(scratch.path, 'empty')
    await writeFile(empty, '')
    const { status, stderr } = await pbmanifest([
      'merge-reports',
      first,
      second,
      other,
      empty,
      directory + '/PG_VERSION',
    ])
    expect(status).toBe(4)
    expect(stderr).toContain('could not merge report fragments: 6 faults')
    expect(stderr).toContain(`report fragment "${empty}" is empty`)
    expect(stderr).toContain('PG_VERSION" is no report fragment')
    expect(stderr).toContain(`shard 2/3 is doubled: "${second}", "${other}"`)
    expect(stderr).toContain('the fragment of shard 3 is missing, of 3')
    expect(stderr).toContain(`is that of "${other}"`)
  })

  test('is verified in shards by the program, with the exit status of the whole', async () => {
    const fragments = ['1', '2'].map((shard) => join(scratch.path, shard))
    const verify = async (index: number): ReturnType<typeof pbmanifest> => {
      const env = { JOB_COMPLETION_INDEX: String(index) }
      const output = fragments[index] ?? ''
      const args = ['verify', '-n', '--shard', 'auto/2', '--report-fragment', output, directory]
      return await runCommandLine(args, env)
    }
    expect(await verify(0)).toMatchObject({ status: 0 })
    const waiting = runCommandLine(['merge-reports', '--wait=60s', '--output=json', ...fragments])
    expect(await verify(1)).toMatchObject({ status: 0 })
    expect(await waiting).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('"verdict": "verified"'),
    })
    expect(await runCommandLine(['merge-reports', ...fragments])).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('backup successfully verified'),
    })
    await truncate(join(directory, 'PG_VERSION'), 2)
    const statuses = [await verify(0), await verify(1)].map(({ status }) => status)
    expect(statuses).toEqual([1, 0])
    const merged = await runCommandLine(['merge-reports', ...fragments])
    expect(merged.status).toBe(1)
    expect(merged.stderr).toContain('"PG_VERSION" has size 2 on disk but size 3 in the manifest')
  })

  test.each([
    ['0/0', 'invalid value "0/0"'],
    ['9/8', 'invalid value "9/8"'],
    ['1/x', 'invalid value "1/x"'],
    ['1/1001', 'invalid value "1/1001"'],
    ['auto/4', '--shard auto is for use by a scheduler'],
  ])('is refused as shard %s', async (shard, words) => {
    const output = join(scratch.path, 'f')
    const result = await runCommandLine(['verify', '--shard', shard, '--report-fragment', output, directory])
    expect(result).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(words) })
    expect(readdirSync(scratch.path)).toEqual(['backup'])
  })

  test('leaves no fragment when it cannot be seen, or in the backup', async () => {
    const args = ['verify', '--shard', '1/2', '--report-fragment']
    const output = join(scratch.path, 'f')
    await mkdir(join(scratch.path, 'none'))
    expect(await runCommandLine([...args, output, join(scratch.path, 'none')])).toMatchObject({ status: 5 })
    expect(await runCommandLine([...args, join(directory, 'f'), directory])).toMatchObject({ status: 2 })
    expect(await runCommandLine([...args.slice(0, 3), directory])).toMatchObject({ status: 2 })
    expect(await runCommandLine([...args, output, '-e', directory])).toMatchObject({ status: 2 })
    expect(readdirSync(scratch.path).toSorted()).toEqual(['backup', 'none'])
    expect(readdirSync(directory)).not.toContain('f')
  })
})
