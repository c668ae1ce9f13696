import { expect, test } from 'vitest'
import type { BackupProgress } from '../../../src/transfer/client/options.js'
import { ProgressMeter } from '../../../src/transfer/client/progress-meter.js'

const tablespaces = [
  { oid: 16384, location: '/a', bytes: 30 },
  { oid: 16385, location: '/b', bytes: 0 },
  { oid: undefined, location: '', bytes: 70 },
]

test('tells the beginning and the end, over all tablespaces, whatever the estimate was', () => {
  const told: BackupProgress[] = []
  let bytes = 0
  const pathnames = ['pg_tblspc/16384/PG_15_202209061/5/1', 'base/5/1', 'base/5/2']
  const meter = new ProgressMeter(
    tablespaces,
    pathnames,
    { bytesDone: () => bytes, file: () => '/t/f' },
    (progress) => told.push(progress),
  )
  bytes = 120
  for (const pathname of pathnames) meter.fileDone(pathname)
  meter.finish()
  expect(told).toEqual([
    // The tablespace without files has nothing to wait for.
    { bytesDone: 0, bytesTotal: 100, tablespacesDone: 1, tablespacesTotal: 3, file: '/t/f' },
    { bytesDone: 120, bytesTotal: 120, tablespacesDone: 2, tablespacesTotal: 3, file: '/t/f' },
    { bytesDone: 120, bytesTotal: 120, tablespacesDone: 3, tablespacesTotal: 3, file: undefined },
  ])
})
