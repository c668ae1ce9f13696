import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { mergeReports, verifyFetchedBackup, verifyShard, verifyStoredBackup } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runCommandLine } from '../cli/run-command-line.js'
import { emptyFile, formatManifest, versionFile } from '../cli/small-backup.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { BUCKET, type ObjectStore, startStore } from '../helpers/stores/object-store.js'
import { sameForAnyJobs } from '../verify/same-for-any-jobs.js'
import { intactArchives, writeSmallTarBackup } from '../verify/tar/small-tar-backup.js'
import { archiveDamages } from './archive-damages.js'
import { mergedReport, writeFragments } from './merged-report.js'
import { randomNumbers } from './random-damage.js'

/** By hand, with any seed, and with `PBMANIFEST_TEST_DAMAGES=50`. */
const damages = Number(process.env['PBMANIFEST_TEST_DAMAGES'] ?? 3)
const seed = Number(process.env['PBMANIFEST_TEST_SEED'] ?? 20261128)

const options = { noParseWal: true, jobs: 2 }

let scratch: ScratchDirectory
let store: ObjectStore

beforeAll(async () => {
  store = await startStore('fauxqs')
})

afterAll(async () => store.close())

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

const stored = (
  prefix: string,
): { readonly address: string; readonly store: { env: ObjectStore['env'] } } => ({
  address: `s3://${BUCKET}/${prefix}`,
  store: { env: store.env },
})

describe('the fragments of a small backup in tar format give the report of the whole', () => {
  const isOfTwo = 'a file of a tablespace without archive in the data directory'
  const cases = Object.entries(archiveDamages).filter(([name]) => name !== isOfTwo)

  test('or it is refused, when an archive has what another one should have, and that is not there', async () => {
    const directory = await writeSmallTarBackup(scratch.path, {
      ...intactArchives,
      ...archiveDamages[isOfTwo],
    })
    const shard = { shard: 1, shards: 2, output: join(scratch.path, 'f'), ...options }
    await expect(verifyShard({ fetchCommand: `cat "${directory}/%f"` }, shard)).rejects.toThrow(
      'is in another archive than that of its tablespace',
    )
  })

  test.each(cases)('when a command gives it: %s', async (_name, damage) => {
    const directory = await writeSmallTarBackup(scratch.path, { ...intactArchives, ...damage })
    const fetched = { fetchCommand: `cat "${directory}/%f"` }
    const whole = sameForAnyJobs(await verifyFetchedBackup({ ...fetched, ...options }))
    expect(sameForAnyJobs(await mergedReport(fetched, 2, options))).toEqual(whole)
  })

  test.each(cases)('when it is in a store: %s', async (name, damage) => {
    const directory = await writeSmallTarBackup(scratch.path, { ...intactArchives, ...damage })
    const prefix = `tar ${name}`
    await store.putDirectory(directory, `${prefix}/`)
    const backup = stored(prefix)
    const whole = sameForAnyJobs(
      await verifyStoredBackup(backup.address, { ...options, store: backup.store }),
    )
    expect(sameForAnyJobs(await mergedReport(backup, 3, options))).toEqual(whole)
  })
})

describe('a small backup in plain format in a store', () => {
  const large = { path: 'base/1/16385', size: 1_000_000, checksum: 'fc256cd0' }
  const objects: Readonly<Record<string, string>> = {
    [versionFile.path]: '15\n',
    [emptyFile.path]: '',
    [large.path]: '\u0001'.repeat(large.size),
    'global/1262': '15\n',
    'pg_tblspc/16384/PG_15_202209061/5/1': '15\n',
  }
  const manifest = formatManifest([
    versionFile,
    emptyFile,
    large,
    { ...versionFile, path: 'global/1262' },
    { ...versionFile, path: 'pg_tblspc/16384/PG_15_202209061/5/1' },
  ])

  const putIntact = async (prefix: string): Promise<void> => {
    for (const [key, text] of Object.entries(objects)) await store.put(`${prefix}/${key}`, text)
    await store.put(`${prefix}/backup_manifest`, manifest)
  }

  test(`gives the report of the whole, damaged in ${damages} ways, seed ${seed}`, async () => {
    const random = randomNumbers(seed)
    const keys = Object.keys(objects)
    for (let number = 0; number < damages; number++) {
      const prefix = `plain ${number}`
      await putIntact(prefix)
      const put = async (key: string, text: string): Promise<void> =>
        await store.put(`${prefix}/${key}`, text)
      const done: string[] = []
      for (let count = random(5); count > 0; count--) {
        const key = keys[random(keys.length)] ?? ''
        const text = objects[key] ?? ''
        const ways: Readonly<Record<string, () => Promise<void>>> = {
          flip: async () => await put(key, `y${text.slice(1)}`),
          cut: async () => await put(key, text.slice(0, text.length / 2)),
          remove: async () => await store.remove(`${prefix}/${key}`),
          extra: async () => await put(`${key} extra`, 'x'),
          'extra elsewhere': async () => await put('base/7/not/known', 'x'),
          'below a file': async () => await put(`${key}/below`, 'x'),
          'no pathname': async () => await put(`${key}//twice`, 'x'),
          folder: async () => await put('base/folder/', ''),
        }
        const way = Object.keys(ways)[random(Object.keys(ways).length)] ?? ''
        done.push(`${way}: ${key}`)
        await ways[way]?.()
      }
      const backup = stored(prefix)
      const whole = sameForAnyJobs(
        await verifyStoredBackup(backup.address, { ...options, store: backup.store }),
      )
      for (const shards of damages > 3 ? [1, 2, 7] : [3]) {
        const merged = sameForAnyJobs(await mergedReport(backup, shards, options))
        expect(merged, `${shards} shards, seed ${seed}, ${done.join('; ')}`).toEqual(whole)
      }
    }
  })

  test('gives the same findings for a shard that is verified again', async () => {
    await putIntact('again')
    await store.remove(`again/${versionFile.path}`)
    const [first, second] = [join(scratch.path, 'first'), join(scratch.path, 'second')]
    for (const output of [first, second])
      await verifyShard(stored('again'), { shard: 2, shards: 2, output, ...options })
    const findings = [first, second].map((output) => readFileSync(output, 'utf8').split('\n').slice(0, -3))
    expect(findings[1]).toEqual(findings[0])
  })

  test('is refused when it has changed between two shards', async () => {
    await putIntact('changed')
    const [first = ''] = await writeFragments(stored('changed'), scratch.path, 2, options)
    await store.put(`changed/${large.path}`, 'y'.repeat(large.size))
    const output = join(scratch.path, 'second')
    await verifyShard(stored('changed'), { shard: 2, shards: 2, output, ...options })
    await expect(mergeReports([first, output])).rejects.toMatchObject({
      code: 'CANNOT_MERGE',
      details: [
        expect.stringMatching(/^listing of objects with checksum \w+ is that of /),
        expect.stringMatching(/^listing of objects with checksum \w+ is that of /),
      ],
    })
  })

  test('is verified in shards by the program, as is one that a command gives', async () => {
    await putIntact('program')
    const places = [
      [stored('program').address],
      ['--fetch-command', `cat "${await writeSmallTarBackup(scratch.path, intactArchives)}/%f"`],
    ]
    for (const [number, place] of places.entries()) {
      const fragments = [1, 2].map((shard) => join(scratch.path, `${number}.${shard}`))
      for (const [index, output] of fragments.entries()) {
        const args = ['verify', '-n', '--shard=auto/2', '--report-fragment', output, ...place]
        expect(
          await runCommandLine(args, { ...store.env, JOB_COMPLETION_INDEX: String(index) }),
        ).toMatchObject({
          status: 0,
          stderr: '',
        })
      }
      const merged = await runCommandLine(['merge-reports', ...fragments])
      expect(merged).toMatchObject({ status: 0, stdout: expect.stringContaining('successfully') as unknown })
    }
  })

  test('leaves no fragment when it cannot be seen', async () => {
    const output = join(scratch.path, 'f')
    const args = ['verify', '--shard=1/2', '--report-fragment', output]
    for (const [place, status] of [
      [['s3://backups/nothing'], 5],
      [['s3://nowhere/nothing'], 5],
      [['--fetch-command', 'false %f'], 5],
      [['--fetch-command', 'cat %f', scratch.path], 2],
      [['--fetch-command', 'cat %f', '-F', 'plain'], 2],
      [['--fetch-timeout', '5', scratch.path], 2],
      [['--endpoint-url', 'http://x', scratch.path], 2],
    ] as const) {
      const result = await runCommandLine([...args, ...place], store.env)
      expect([place, result.status, result.stderr]).toEqual([
        place,
        status,
        expect.stringMatching(/^pbmanifest: error: /),
      ])
    }
    expect(await readdir(scratch.path)).toEqual([])
  })
})
