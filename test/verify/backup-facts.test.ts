import { expect, test } from 'vitest'
import { type BackupFacts, readBackupFacts } from '../../src/verify/backup-facts.js'
import { IgnoreRules } from '../../src/verify/ignore-rules.js'

function labelOf(startTime: string): string {
  return `START WAL LOCATION: 0/E00028 (file 00000002000000000000000E)
CHECKPOINT LOCATION: 0/E00060
BACKUP METHOD: streamed
BACKUP FROM: standby
START TIME: ${startTime}
LABEL: nightly
START TIMELINE: 2
INCREMENTAL FROM LSN: 0/D00028
INCREMENTAL FROM TLI: 1
`
}

function factsOf(files: Readonly<Record<string, string>>, ignore: readonly string[] = []): BackupFacts {
  const read = (name: string): Buffer | undefined => {
    const text = files[name]
    return text === undefined ? undefined : Buffer.from(text)
  }
  return readBackupFacts(read, new IgnoreRules(ignore), {
    version: 2,
    systemIdentifier: 7_711_113_546_893_945_671n,
  })
}

const files = { backup_label: labelOf('2026-11-22 21:36:05 UTC'), PG_VERSION: '18\n' }

test('a backup says by its label and PG_VERSION what it is', () => {
  expect(factsOf(files)).toEqual({
    label: 'nightly',
    startTime: '2026-11-22 21:36:05 UTC',
    startTimeUtc: '2026-11-22T21:36:05Z',
    takenFrom: 'standby',
    startLsn: '0/E00028',
    startTimeline: 2,
    incrementalFrom: { lsn: '0/D00028', timeline: 1 },
    serverMajorVersion: 18,
    systemIdentifier: '7711113546893945671',
  })
})

test.each([
  ['2026-11-22 21:36:05 GMT', '2026-11-22T21:36:05Z'],
  ['2026-11-22 21:36:05 +0530', '2026-11-22T16:06:05Z'],
  ['2026-11-22 21:36:05 -03', '2026-11-23T00:36:05Z'],
  // Of these nobody knows which zone it is, or what.
  ['2026-11-22 21:36:05 IST', null],
  ['2026-11-22 21:36:05', null],
  ['2026-13-45 21:36:05 UTC', null],
  ['', null],
])('of a backup of "%s" the time in UTC is %s', (startTime, utc) => {
  expect(factsOf({ backup_label: labelOf(startTime) })).toMatchObject({ startTime, startTimeUtc: utc })
})

test.each([
  ['is not there', {}, []],
  ['is not read as one', { backup_label: 'x', PG_VERSION: 'x' }, []],
  ['is ignored', files, ['backup_label', 'PG_VERSION']],
])('of what %s nothing is said', (_, files, ignore) => {
  const { systemIdentifier, ...facts } = factsOf(files, ignore)
  expect(systemIdentifier).toBe('7711113546893945671')
  expect(new Set(Object.values(facts))).toEqual(new Set([null]))
})
