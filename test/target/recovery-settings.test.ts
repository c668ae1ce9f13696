import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeRecoverySettings } from '../../src/target/recovery-settings.js'
import { useScratch } from '../manifest/use-scratch.js'

const scratch = useScratch()

test('lines are appended, and the signal is there', async () => {
  const directory = scratch.path
  await writeFile(join(directory, 'postgresql.auto.conf'), '# old\n')
  await writeRecoverySettings(directory, `primary_conninfo = 'host=h'\n`, { fileMode: 0o640, sync: true })
  expect(await readFile(join(directory, 'postgresql.auto.conf'), 'utf8')).toBe(
    `# old\nprimary_conninfo = 'host=h'\n`,
  )
  expect((await stat(join(directory, 'standby.signal'))).size).toBe(0)
})
