import { verifyBackup } from 'pbmanifest'
import { beforeAll, describe, expect, test } from 'vitest'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { realTarBackups, type TarBackupKind, tarBackupKinds } from '../../helpers/tar-backups.js'

describeWithDebianPostgres('a tar backup of pg_basebackup', (programs) => {
  let backups: Readonly<Record<TarBackupKind, string>>

  beforeAll(async () => {
    backups = await realTarBackups(programs)
  })

  describe.each(tarBackupKinds)('%s', (kind) => {
    test('verifies', async () => {
      const report = await verifyBackup(backups[kind])
      expect(report.problems).toEqual([])
    })
  })
})
