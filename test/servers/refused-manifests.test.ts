import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { manifestText } from '../manifest/manifest-text.js'
import { refusedManifests } from '../manifest/refused-manifests.js'

/** The table of our parser's tests against the program whose words it is to have. */
describeWithDebianPostgres('pg_verifybackup 15', (programs) => {
  let scratch: ScratchDirectory
  let directory: string

  beforeAll(async () => {
    scratch = createScratchDirectory()
    directory = join(scratch.path, 'data')
    await mkdir(directory)
    await writeFile(join(directory, 'PG_VERSION'), '15\n')
  })

  afterAll(() => scratch.remove())

  async function verifyWith(manifest: Buffer): Promise<unknown> {
    await writeFile(join(directory, 'backup_manifest'), manifest)
    const { status, stderr } = await pgVerifyBackup(programs, ['--no-parse-wal', directory])
    return { status, stderr }
  }

  test('takes the manifest of which the others are made', async () => {
    expect(await verifyWith(manifestText())).toEqual({ status: 0, stderr: '' })
  })

  describe.each(Object.entries(refusedManifests))('refuses %s', (_, rows) => {
    test.each(rows)('$name', async ({ bytes, says15 }) => {
      expect(await verifyWith(bytes)).toEqual({ status: 1, stderr: `pg_verifybackup: error: ${says15}\n` })
    })
  })
})
