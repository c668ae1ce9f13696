import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isBackupHistoryFileName, parseBackupHistoryFile } from '../../src/postgres/backup-history-file.js'
import { parseBackupLabel } from '../../src/postgres/backup-label.js'
import { parseControlFile } from '../../src/postgres/control-file.js'
import { parseRelationFileName } from '../../src/postgres/relation-file-name.js'
import { parseTablespaceMap } from '../../src/postgres/tablespace-map.js'
import { formatTablespaceMap } from './format-tablespace-map.js'
import { tablespaceVersionDirectory } from '../../src/postgres/data-directory.js'
import { parseTimelineHistory } from '../../src/postgres/timeline-history.js'
import { parseWalPageHeader, WAL_BLOCK_SIZE } from '../../src/postgres/wal-page-header.js'
import { findVersion } from '../../src/postgres/versions.js'
import { parseWalSegmentName, segmentHoldingStart, walSegmentName } from '../../src/postgres/wal-segment.js'
import { createCluster } from '../helpers/cluster.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { twoTimelinesBackup } from '../helpers/two-timelines.js'

const segmentSize = 1024 * 1024
const limit = 240_000

describeWithDebianPostgres('files that PostgreSQL 15 wrote', (programs) => {
  test(
    'the backup_label of a primary',
    async () => {
      const { directory } = await realBackup(programs)
      const label = parseBackupLabel(await readFile(join(directory, 'backup_label'), 'utf8'), 'backup_label')
      const control = parseControlFile(await readFile(join(directory, 'global/pg_control')), 'pg_control')
      expect(label).toMatchObject({
        startLsn: control.checkPointCopy.redo,
        checkpointLsn: control.checkPoint,
        startSegmentName: walSegmentName(1, segmentHoldingStart(label.startLsn, segmentSize), segmentSize),
        backupMethod: 'streamed',
        backupFrom: 'primary',
        label: 'pg_basebackup base backup',
        startTimeline: 1,
        incrementalFrom: undefined,
      })
      expect(label.startTime).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/)
    },
    limit,
  )

  test(
    'the directory in a tablespace',
    async () => {
      const { directory, tablespaces } = await realBackup(programs)
      const control = parseControlFile(await readFile(join(directory, 'global/pg_control')), 'pg_control')
      const names = await Promise.all(tablespaces.map((tablespace) => readdir(tablespace.directory)))
      expect(names.flat()).toEqual(
        tablespaces.map(() => tablespaceVersionDirectory(15, control.catalogVersion)),
      )
    },
    limit,
  )

  test(
    'the relation files of a database',
    async () => {
      const { directory } = await realBackup(programs)
      const names = await readdir(join(directory, 'base/1'))
      const others = names.filter((name) => parseRelationFileName(name) === undefined)
      expect(others.toSorted()).toEqual(['PG_VERSION', 'pg_filenode.map'])
    },
    limit,
  )

  test(
    'the backup_label of a standby, and the timelines it lived through',
    async () => {
      const { directory } = await twoTimelinesBackup(programs)
      const label = parseBackupLabel(await readFile(join(directory, 'backup_label'), 'utf8'), 'backup_label')
      expect(label).toMatchObject({ backupFrom: 'standby', startTimeline: 1 })

      const name = '00000002.history'
      const text = await readFile(join(directory, 'pg_wal', name), 'utf8')
      const [newest, oldest, ...more] = parseTimelineHistory(text, 2, name)
      expect(more).toEqual([])
      expect(oldest).toEqual({ timeline: 1, begin: 0n, end: newest?.begin })
      expect(newest).toMatchObject({ timeline: 2, end: undefined })
      expect(newest?.begin).toBeGreaterThan(label.startLsn)
    },
    limit,
  )

  test(
    'the WAL of two timelines',
    async () => {
      const { directory } = await twoTimelinesBackup(programs)
      const control = parseControlFile(await readFile(join(directory, 'global/pg_control')), 'pg_control')
      const names = await readdir(join(directory, 'pg_wal'))
      const timelines = new Set<number>()
      for (const name of names) {
        const segment = parseWalSegmentName(name, segmentSize)
        if (segment === undefined) continue
        timelines.add(segment.timeline)
        const page = parseWalPageHeader(await readFile(join(directory, 'pg_wal', name)), 0)
        expect(page.magic).toBe(findVersion(15)?.walFormats[0].pageMagic)
        expect(page).toMatchObject({
          pageAddress: segment.segmentNumber * BigInt(segmentSize),
          long: { systemIdentifier: control.systemIdentifier, segmentSize, blockSize: WAL_BLOCK_SIZE },
        })
        expect(page.timeline).toBeLessThanOrEqual(segment.timeline)
      }
      expect(timelines).toEqual(new Set([1, 2]))
    },
    limit,
  )

  test(
    'the backup history file, the label of several lines and the tablespace_map',
    async () => {
      const cluster = await createCluster(programs, {
        walSegmentMegabytes: 1,
        settings: { archive_mode: 'on', archive_command: 'false' },
      })
      try {
        const location = await cluster.createTablespace('odd\\name\r')
        const [tablespace] = await cluster.sql<{ oid: number }>(
          `SELECT oid FROM pg_tablespace WHERE spcname LIKE 'odd%'`,
        )
        const [files] = await cluster.sql<{ lsn: string; labelfile: string; spcmapfile: string }>(
          `SELECT pg_backup_start(E'one\\nSTART TIMELINE: 7\\n', true); SELECT * FROM pg_backup_stop(false)`,
        )
        const label = parseBackupLabel(files?.labelfile ?? '', 'backup_label')
        expect(label).toMatchObject({ label: 'one\nSTART TIMELINE: 7\n', startTimeline: 1 })

        const entries = parseTablespaceMap(files?.spcmapfile ?? '', 'tablespace_map')
        expect(entries).toEqual([{ oid: tablespace?.oid, location }])
        expect(formatTablespaceMap(entries)).toBe(files?.spcmapfile)

        const wal = join(cluster.dataDirectory, 'pg_wal')
        const name = (await readdir(wal)).find(isBackupHistoryFileName) ?? ''
        const history = parseBackupHistoryFile(await readFile(join(wal, name), 'utf8'), name)
        expect(history).toMatchObject({ ...label, stopTimeline: 1 })
        expect(history.stopLsn.toString(16)).toBe(BigInt(`0x${files?.lsn.split('/')[1]}`).toString(16))
      } finally {
        await cluster.remove()
      }
    },
    limit,
  )
})
