import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { repairBackup, type RepairOptions, type RepairReport } from 'pbmanifest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { BackupCopy } from '../helpers/copy-backup.js'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import type { PlainBackup } from '../helpers/plain-backup.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { mustRun } from '../helpers/run-program.js'
import { twoTimelinesBackup } from '../helpers/two-timelines.js'
import {
  flipBit,
  largestFile,
  makeFifo,
  removeFile,
  replaceBy,
  takeFrom,
  walSegments,
} from '../verify/damage.js'
import { linkedCopy } from '../verify/linked-copy.js'
import {
  content,
  control,
  kinds,
  manifests,
  presence,
  type Row,
  small,
  wal,
  walRows,
} from '../verify/oracle-rows.js'
import { copyAsOwner, pbmanifestWithoutPrivileges } from '../verify/run-without-privileges.js'

let real: PlainBackup
let otherCluster: PlainBackup

const foreign: readonly Row[] = [
  {
    name: 'pg_control of another cluster',
    damage: async (backup) => takeFrom(otherCluster, backup, control),
  },
  {
    name: 'pg_control and WAL of another cluster',
    damage: async (backup) => {
      await takeFrom(otherCluster, backup, control)
      return removeFile(backup, await wal(backup))
    },
  },
  { name: 'backup_label of another cluster', damage: (b) => takeFrom(otherCluster, b, 'backup_label') },
]

/** What only somebody without privileges meets. */
const needsNoPrivileges = /unreadable|listed|read-only/

/** What has no file to be fetched: something to be moved away, a permission, a manifest that says something else. */
const beyondRepair: ReadonlyMap<string, string> = new Map([
  ['an extra file', 'is present on disk but not in the manifest'],
  ['an extra file in a tablespace', 'is present on disk but not in the manifest'],
  ['a FIFO that is extra', 'is not a regular file or directory'],
  ['a link that leads back to the top', 'Too many levels of symbolic links'],
  ['an unreadable directory', 'could not open directory "base/1": Permission denied'],
  ['a directory that may be listed but not entered', 'Permission denied'],
  ['an unreadable directory of WAL', 'WAL parsing failed'],
  ['with an entry removed', 'is present on disk but not in the manifest'],
  ['with an entry added', '"global/never" is not in the copy either'],
  ['with another size', 'has size 512 in the copy but size 513 in the manifest'],
  ['with another checksum of a file', 'checksum mismatch for file "global/pg_filenode.map" of the copy, too'],
  ['whose range ends beyond it', 'the copy does not have it either'],
  ['whose range ends at the highest LSN', 'the copy does not have it either'],
  ['whose range starts later than backup_label says', "but the manifest's WAL starts at"],
])

/** More of the same says nothing new about a repair. */
const notNeeded =
  /^(?:an extra (?!file$|file in a tablespace$)|files that come|two links|a chain|directories|whose range is|whose range ends in|with a pathname|with an absolute|with a file twice|with the checksum|with an algorithm|with algorithm|with a checksum that|of version|that is no JSON|edited|with another checksum$)/

function chosen(rows: readonly Row[]): Row[] {
  return rows.filter(({ name, arguments: args }) => args === undefined && !notNeeded.test(name))
}

/** Says that the tablespaces of a backup are where they are. */
function linksOf(backup: PlainBackup): { pathname: string; directory: string }[] {
  return real.tablespaces.map(({ oid }) => ({
    pathname: `pg_tblspc/${oid}`,
    directory: join(backup.root, 'tablespaces', oid),
  }))
}

/** Repairs in this process, which is quicker than to start one. */
async function repair(
  backup: PlainBackup,
  copy: PlainBackup,
  options: Partial<RepairOptions> = {},
): Promise<RepairReport> {
  const links = linksOf(backup)
  return await repairBackup(backup.directory, {
    from: copy.directory,
    write: true,
    links,
    jobs: 2,
    ...options,
  })
}

async function repairWithoutPrivileges(backup: PlainBackup, copy: PlainBackup): Promise<RepairReport> {
  const links = linksOf(backup).map(({ pathname, directory }) => `-T${pathname.split('/')[1]}=${directory}`)
  const args = [
    'repair',
    '--from',
    copy.directory,
    '--write',
    '--output=json',
    '--manifest-from-copy',
    ...links,
  ]
  const { stdout } = await pbmanifestWithoutPrivileges([...args, backup.directory])
  return JSON.parse(stdout) as RepairReport
}

describeWithDebianPostgres('what pg_verifybackup refuses is repaired from a good copy', (programs) => {
  const originals: BackupCopy[] = []

  async function own(fixture: PlainBackup): Promise<PlainBackup> {
    const original = await copyAsOwner(fixture)
    originals.push(original)
    return original
  }

  beforeAll(async () => {
    real = await own(await realBackup(programs))
    otherCluster = await own(await twoTimelinesBackup(programs))
  }, 240_000)

  afterAll(() => {
    for (const original of originals) original.remove()
  })

  describe.concurrent.each([
    ['a backup with', chosen(presence)],
    ['a backup with changed content:', chosen(content)],
    ['a backup of other kinds of files:', chosen(kinds)],
    ['a manifest', chosen(manifests)],
    ['WAL', chosen(walRows)],
    ['a backup with parts of another:', foreign],
  ])('%s', (_, rows) => {
    test.each(rows)('$name', async (row) => {
      const backup = await linkedCopy(real)
      try {
        await row.damage(backup)
        const report = needsNoPrivileges.test(row.name)
          ? await repairWithoutPrivileges(backup, real)
          : await repair(backup, real, { manifestFromCopy: true })
        const { status } = await pgVerifyBackup(programs, [backup.directory])
        const words = beyondRepair.get(row.name)
        expect(report.verdict).toBe(words === undefined ? 'verified' : 'failed')
        expect(reasonsIn(report)).toContain(words ?? '')
        expect({ isRepaired: words === undefined, status }).not.toEqual({ isRepaired: true, status: 1 })
      } finally {
        backup.remove()
      }
    })
  })

  describe.concurrent('from a copy that is damaged at the same place', () => {
    test.each<Row & { readonly reason: string }>([
      { name: 'a file', damage: (b) => flipBit(b, small), reason: 'copy-differs' },
      { name: 'a file that is not there', damage: (b) => removeFile(b, small), reason: 'copy-missing' },
      { name: 'pg_control', damage: (b) => flipBit(b, control, 20), reason: 'copy-differs' },
      { name: 'WAL', damage: async (b) => flipBit(b, await wal(b), 100), reason: 'copy-differs' },
      {
        name: 'WAL that is not there',
        damage: async (b) => removeFile(b, await wal(b)),
        reason: 'copy-missing',
      },
      { name: 'a FIFO', damage: (b) => replaceBy(b, small, makeFifo), reason: 'copy-unreadable' },
    ])('$name is left as it is, and said', async ({ damage, reason }) => {
      const backup = await linkedCopy(real)
      const copy = await linkedCopy(real)
      try {
        const path = await damage(backup)
        await damage(copy)
        const before = await lookAt(backup)
        const report = await repair(backup, copy)
        expect(report).toMatchObject({
          verdict: 'failed',
          copy: { backup: 'same' },
          items: [{ path, outcome: 'not-repaired', reason: { kind: reason } }],
          bytesWritten: 0,
        })
        expect(await lookAt(backup)).toEqual(before)
      } finally {
        backup.remove()
        copy.remove()
      }
    })
  })

  test('what is damaged in one place here and in another there is repaired', async () => {
    const backup = await linkedCopy(real)
    const copy = await linkedCopy(real)
    try {
      await flipBit(backup, small)
      await removeFile(copy, 'PG_VERSION')
      await flipBit(copy, await wal(copy), 100)
      expect(await repair(backup, copy)).toMatchObject({ verdict: 'verified', items: [{ path: small }] })
    } finally {
      backup.remove()
      copy.remove()
    }
  })

  test('pg_control is not taken from another cluster, although its CRC-32C is the same', async () => {
    const backup = await linkedCopy(real)
    try {
      await removeFile(backup, control)
      expect(await repair(backup, otherCluster)).toMatchObject({
        verdict: 'failed',
        copy: { backup: 'other-backup' },
        items: [{ path: control, outcome: 'not-repaired', reason: { kind: 'foreign' } }],
      })
      expect(existsSync(join(backup.directory, control))).toBe(false)
    } finally {
      backup.remove()
    }
  })

  test('WAL of another cluster is not taken', async () => {
    const backup = await linkedCopy(real)
    const copy = await linkedCopy(real)
    try {
      const segment = await removeFile(backup, await wal(backup))
      // The system identifier of its first page.
      await flipBit(copy, segment, 24)
      expect(await repair(backup, copy)).toMatchObject({
        verdict: 'failed',
        items: [{ path: segment, outcome: 'not-repaired', reason: { kind: 'copy-differs' } }],
      })
      expect(await walSegments(backup)).not.toContain(segment.slice('pg_wal/'.length))
    } finally {
      backup.remove()
      copy.remove()
    }
  })

  test('nothing is written through a link out of the backup of which that was not said', async () => {
    const backup = await linkedCopy(real)
    try {
      const path = await flipBit(backup, await largestFile(backup, 'pg_tblspc/'))
      const before = await lookAt(backup)
      expect(await repair(backup, real, { links: [] })).toMatchObject({
        verdict: 'failed',
        items: [
          { path, outcome: 'not-repaired', reason: { kind: 'link', hint: expect.stringContaining('-T ') } },
        ],
      })
      expect(await lookAt(backup)).toEqual(before)
    } finally {
      backup.remove()
    }
  })

  test('a dry run says what would be repaired, and changes nothing', async () => {
    const backup = await linkedCopy(real)
    try {
      const damaged = [await flipBit(backup, small), await removeFile(backup, await wal(backup))]
      await removeFile(backup, 'pg_notify')
      const before = await lookAt(backup)
      const report = await repair(backup, real, { write: false })
      expect(report).toMatchObject({ verdict: 'repairable', isDryRun: true, problems: [] })
      expect(report.items.map(({ path, outcome }) => [path, outcome])).toEqual(
        ['pg_notify', ...damaged].map((path) => [path, 'repairable']),
      )
      expect(await lookAt(backup)).toEqual(before)
    } finally {
      backup.remove()
    }
  })
})

/** What is said of all that is not repaired. */
function reasonsIn({ items, problems }: RepairReport): string {
  const reasons = items.map(({ reason }) => reason?.message)
  return [...reasons, ...problems.map(({ message }) => message)].join('\n')
}

/** Everything in a backup: name, kind, number, and of what is no directory, size and time. */
async function lookAt(backup: PlainBackup): Promise<string[]> {
  const directories = ['-type', 'd', '-printf', '%P %y %i\n']
  const { stdout } = await mustRun('find', [
    backup.root,
    ...directories,
    '-o',
    '-printf',
    '%P %y %i %s %T@ %l\n',
  ])
  return stdout.split('\n').toSorted()
}
