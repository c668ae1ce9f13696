import { expect, test } from 'vitest'
import { formatBackupProgress } from '../../../../cli/commands/backup/backup-progress.js'

test.each([
  [123 * 1024, 456 * 1024, 0, 1, '123/456 kB (26%), 0/1 tablespace'],
  [7 * 1024, 45_678 * 1024, 1, 3, '    7/45678 kB (0%), 1/3 tablespaces'],
  [0, 0, 1, 1, '0/0 kB (0%), 1/1 tablespace'],
])(
  '%d of %d bytes, %d of %d tablespaces',
  (bytesDone, bytesTotal, tablespacesDone, tablespacesTotal, line) => {
    expect(formatBackupProgress({ bytesDone, bytesTotal, tablespacesDone, tablespacesTotal })).toBe(line)
  },
)
