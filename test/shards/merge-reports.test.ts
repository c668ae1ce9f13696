import { join } from 'node:path'
import { verifyBackup } from 'pbmanifest'
import { expect, test } from 'vitest'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'
import { realTarBackups } from '../helpers/tar-backups.js'
import { copyTree } from '../helpers/run-program.js'
import { flipBit } from '../verify/damage.js'
import { linkedCopy } from '../verify/linked-copy.js'
import { sameForAnyJobs } from '../verify/same-for-any-jobs.js'
import { mergedReport } from './merged-report.js'
import { damageAtRandom, randomNumbers } from './random-damage.js'

/** By hand, with any seed, and with `PBMANIFEST_TEST_DAMAGES=50`. */
const damages = Number(process.env['PBMANIFEST_TEST_DAMAGES'] ?? 2)
const seed = Number(process.env['PBMANIFEST_TEST_SEED'] ?? 20261128)

describeWithDebianPostgres('the fragments of all shards of a real backup', (programs) => {
  test(
    `give the report of the whole, damaged in ${damages} ways, seed ${seed}`,
    { timeout: 60_000 + damages * 60_000 },
    async () => {
      const random = randomNumbers(seed)
      const original = await realBackup(programs)
      for (let number = 1; number <= damages; number++) {
        const backup = await linkedCopy(original)
        try {
          const done: string[] = []
          for (let count = 1 + random(4); count > 0; count--) done.push(await damageAtRandom(backup, random))
          const whole = sameForAnyJobs(await verifyBackup(backup.directory, { jobs: 2 }))
          for (const shards of damages > 2 || number === 2 ? [1, 2, 7, 64] : [1, 2, 7]) {
            const merged = sameForAnyJobs(await mergedReport(backup.directory, shards))
            expect(merged, `${shards} shards, seed ${seed}, ${done.join('; ')}`).toEqual(whole)
          }
        } finally {
          backup.remove()
        }
      }
    },
  )

  test.each(['gzip', 'wal-in-base'] as const)(
    'give the report of the whole in tar format: %s',
    async (kind) => {
      const scratch = createScratchDirectory()
      try {
        const original = (await realTarBackups(programs))[kind]
        const directory = join(scratch.path, 'backup')
        await copyTree(original, directory)
        const intact = sameForAnyJobs(await verifyBackup(directory, { jobs: 2 }))
        expect(intact.verdict).toBe('verified')
        expect(sameForAnyJobs(await mergedReport(directory, 3))).toEqual(intact)
        const backup = { root: scratch.path, directory, manifestPath: '', tablespaces: [] }
        await flipBit(backup, kind === 'gzip' ? 'base.tar.gz' : 'base.tar')
        const damaged = sameForAnyJobs(await verifyBackup(directory, { jobs: 2 }))
        expect(damaged.verdict).toBe('failed')
        expect(sameForAnyJobs(await mergedReport(directory, 3))).toEqual(damaged)
      } finally {
        scratch.remove()
      }
    },
  )
})
