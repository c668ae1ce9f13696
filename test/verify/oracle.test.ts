import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pgBaseBackup } from '../helpers/base-backup.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { createCluster } from '../helpers/cluster.js'
import { type BackupCopy, copyBackupTo } from '../helpers/copy-backup.js'
import { type PlainBackup, readPlainBackup } from '../helpers/plain-backup.js'
import type { PostgresPrograms } from '../helpers/postgres-programs.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import type { ProgramResult } from '../helpers/run-program.js'
import { sharedFixture } from '../helpers/shared-fixture.js'
import { twoTimelinesBackup } from '../helpers/two-timelines.js'
import { addFile, changeMode, flipBit, overwrite, removeFile, takeFrom, walSegments } from './damage.js'
import { linkedCopy } from './linked-copy.js'
import {
  asIs,
  content,
  control,
  kinds,
  manifests,
  options,
  presence,
  type Row,
  small,
  wal,
  walFault,
  walRows,
} from './oracle-rows.js'
import { copyAsOwner, pbmanifestWithoutPrivileges, runWithoutPrivileges } from './run-without-privileges.js'
import { lastPageOfWal, placeInWal } from './wal-places.js'

const limit = 240_000

/** What only somebody without privileges meets. */
const needsNoPrivileges = /unreadable|listed|read-only/

const foreign: readonly Row[] = [
  {
    name: 'pg_control of another cluster',
    damage: async (backup) => takeFrom(otherCluster, backup, control),
    stricter: 'the CRC-32C of every valid pg_control is the same, because it holds its own',
  },
  {
    name: 'pg_control of another cluster, and no WAL to compare',
    damage: async (backup) => takeFrom(otherCluster, backup, control),
    arguments: () => ['-n'],
    stricter: 'its checkpoint is not in the WAL range of the manifest',
  },
  { name: 'backup_label of another cluster', damage: (b) => takeFrom(otherCluster, b, 'backup_label') },
]

let real: PlainBackup
let otherCluster: PlainBackup

describeWithDebianPostgres('our verdict is that of pg_verifybackup', (programs) => {
  const originals: BackupCopy[] = []

  async function own(fixture: PlainBackup): Promise<PlainBackup> {
    const original = await copyAsOwner(fixture)
    originals.push(original)
    return original
  }

  beforeAll(async () => {
    real = await own(await realBackup(programs))
    otherCluster = await own(await twoTimelinesBackup(programs))
  }, limit)

  afterAll(() => {
    for (const original of originals) original.remove()
  })

  /** Ours in this process, but for what only somebody without privileges meets: to start a program takes most of the time. */
  async function runBoth(args: readonly string[], needsProgram: boolean): Promise<Said> {
    const [theirs, ours] = await Promise.all([
      runWithoutPrivileges(join(programs.bin, 'pg_verifybackup'), args),
      (needsProgram ? pbmanifestWithoutPrivileges : runCommandLine)(['verify', ...args]),
    ])
    return { theirs: messagesOf(theirs), ours: messagesOf(ours) }
  }

  /** What both tools say of a copy that a row has damaged, and what they should say. */
  async function judge(original: PlainBackup, row: Row): Promise<{ said: Said; expected: Said }> {
    const backup = await linkedCopy(original)
    try {
      const words = await row.damage(backup)
      const args = [...(row.arguments?.(backup) ?? []), backup.directory]
      const said = await runBoth(args, needsNoPrivileges.test(row.name))
      return { said, expected: expectedOf(row, words) }
    } finally {
      backup.remove()
    }
  }

  describe.concurrent.each([
    ['a backup with', presence],
    ['a backup with changed content:', content],
    ['a backup of other kinds of files:', kinds],
    ['a manifest', manifests],
    ['WAL', walRows],
    ['option', options],
    ['a backup with parts of another:', foreign],
  ] as const)('%s', (_, rows) => {
    test.each(rows)('$name', async (row) => {
      const { said, expected } = await judge(real, row)
      expect(said).toEqual(expected)
    })
  })

  describe.concurrent.each(['NONE', 'SHA256'] as const)('with a manifest of algorithm %s:', (algorithm) => {
    const needsChecksum = algorithm === 'NONE' ? undefined : small
    let backup: PlainBackup

    beforeAll(async () => {
      backup = await own(await backupWithChecksums(programs, algorithm))
    }, limit)

    test.each<Row>([
      { name: 'nothing', damage: asIs },
      { name: 'an extra file', damage: (backup) => addFile(backup, 'base/1/99999') },
      { name: 'a missing file', damage: (backup) => removeFile(backup, small) },
      { name: 'a file that grew', damage: (backup) => addFile(backup, small, 'x'.repeat(600)) },
      { name: 'a bit flipped', damage: (backup) => flipBit(backup, small).then(() => needsChecksum) },
      { name: 'an unreadable file', damage: (b) => changeMode(b, small, 0).then(() => needsChecksum) },
      {
        name: 'pg_control of another cluster',
        damage: (backup) => takeFrom(otherCluster, backup, control),
        ...(algorithm === 'NONE' && { stricter: 'there is no checksum that could tell' }),
      },
    ])('$name', async (row) => {
      const { said, expected } = await judge(backup, row)
      expect(said).toEqual(expected)
    })
  })

  describe.concurrent('a backup over two timelines', () => {
    test.each<Row>([
      { name: 'nothing', damage: asIs },
      {
        name: 'with WAL of the older one missing',
        damage: async (b) => removeFile(b, await wal(b)).then(() => walFault),
      },
      {
        name: 'with WAL that ends before its end',
        damage: async (backup) => {
          const [pathname, position] = await lastPageOfWal(backup, 0)
          await overwrite(backup, pathname, position, Buffer.alloc(2 ** 20 - position))
          return 'WAL parsing failed for timeline 2'
        },
      },
      {
        name: 'with a bit flipped in a record of the older one',
        damage: async (b) => flipBit(b, await wal(b), 100).then(() => walFault),
      },
      {
        name: 'with a bit flipped in a record of the newer one',
        damage: async (b) => {
          await flipBit(b, ...(await placeInWal(b, 'end', -9)))
          return 'WAL parsing failed for timeline 2'
        },
      },
      {
        name: 'with WAL of the newer one missing',
        damage: async (b) =>
          removeFile(b, `pg_wal/${(await walSegments(b)).at(-1)}`).then(
            () => 'WAL parsing failed for timeline 2',
          ),
      },
    ])('$name', async (row) => {
      const { said, expected } = await judge(otherCluster, row)
      expect(said).toEqual(expected)
    })
  })

  test('what the rows damaged were copies', async () => {
    for (const original of originals) {
      const { said, expected } = await judge(original, { name: 'nothing', damage: asIs })
      expect(said).toEqual(expected)
    }
  })
})

interface Messages {
  readonly status: number | null
  readonly stderr: string
}

interface Said {
  readonly theirs: Messages
  readonly ours: Messages
}

function messagesOf({ status, stderr }: ProgramResult): Messages {
  return { status, stderr }
}

function expectedOf(row: Row, words: string | void): Said {
  if (words === undefined) {
    const warning: string = row.warning === undefined ? '' : expect.stringContaining(row.warning)
    return { theirs: { status: 0, stderr: '' }, ours: { status: 0, stderr: warning } }
  }
  const stderr: string = expect.stringContaining(words)
  return {
    theirs: row.stricter === undefined ? { status: 1, stderr } : { status: 0, stderr: '' },
    ours: { status: row.status ?? 1, stderr },
  }
}

function backupWithChecksums(programs: PostgresPrograms, algorithm: string): Promise<PlainBackup> {
  return sharedFixture(`checksums-15-${algorithm}`, async (directory) => {
    const cluster = await createCluster(programs, { walSegmentMegabytes: 1 })
    try {
      const args = [`--manifest-checksums=${algorithm}`]
      await copyBackupTo(await pgBaseBackup(cluster, { name: algorithm, args }), directory)
    } finally {
      await cluster.remove()
    }
  }).then(readPlainBackup)
}
