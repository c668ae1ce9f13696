import { describe, expect, test } from 'vitest'
import { isBackupHistoryFileName, parseBackupHistoryFile } from '../../src/postgres/backup-history-file.js'
import { badFileError } from './bad-file-error.js'

const name = '00000001000000000000000E.00000028.backup'
const whole = [
  'START WAL LOCATION: 0/E00028 (file 00000001000000000000000E)',
  'STOP WAL LOCATION: 0/E00100 (file 00000001000000000000000E)',
  'CHECKPOINT LOCATION: 0/E00060',
  'BACKUP METHOD: streamed',
  'BACKUP FROM: primary',
  'START TIME: 2026-11-22 21:36:05 UTC',
  'LABEL: nightly',
  'of two lines',
  'START TIMELINE: 1',
  'STOP TIME: 2026-11-22 21:36:06 UTC',
  'STOP TIMELINE: 1',
  '',
].join('\n')

describe('parseBackupHistoryFile', () => {
  test('reads what the server writes', () => {
    expect(parseBackupHistoryFile(whole, name)).toMatchObject({
      startLsn: 0xe00028n,
      label: 'nightly\nof two lines',
      startTimeline: 1,
      stopLsn: 0xe00100n,
      stopSegmentName: '00000001000000000000000E',
      stopTime: '2026-11-22 21:36:06 UTC',
      stopTimeline: 1,
      incrementalFrom: undefined,
    })
  })

  test('reads that of an incremental backup', () => {
    const text = `${whole}INCREMENTAL FROM LSN: 0/3C00028\nINCREMENTAL FROM TLI: 1\n`
    expect(parseBackupHistoryFile(text, name).incrementalFrom).toEqual({ lsn: 0x3c00028n, timeline: 1 })
  })

  test.each([
    [
      'a backup_label',
      whole.replace(/STOP WAL.*\n/, ''),
      'expected line "STOP WAL LOCATION: LSN (file SEGMENT)"',
    ],
    ['no stop time', whole.replace(/STOP TIME:.*\n/, ''), 'expected lines "STOP TIME" and "STOP TIMELINE"'],
    [
      'no stop timeline',
      whole.replace(/STOP TIMELINE:.*\n/, ''),
      'expected lines "STOP TIME" and "STOP TIMELINE"',
    ],
    [
      'another stop timeline',
      whole.replace('STOP TIMELINE: 1', 'STOP TIMELINE: 2'),
      'timeline ID parsed is 2, but expected 1',
    ],
    [
      'another start timeline',
      whole.replace('START TIMELINE: 1', 'START TIMELINE: 2'),
      'timeline ID parsed is 2, but expected 1',
    ],
    ['no checkpoint', whole.replace(/CHECKPOINT.*\n/, ''), 'expected line "CHECKPOINT LOCATION: LSN"'],
  ])('refuses %s', (_, text, what) => {
    expect(() => parseBackupHistoryFile(text, name)).toThrow(
      badFileError(`"${name}": invalid data in file: ${what}`),
    )
  })
})

describe('isBackupHistoryFileName', () => {
  test('knows one', () => {
    expect(isBackupHistoryFileName(name)).toBe(true)
  })

  test.each([
    '',
    '00000001000000000000000E',
    '00000001000000000000000E.backup',
    `${name}.ready`,
    name.toLowerCase(),
  ])('does not take %j for one', (other) => {
    expect(isBackupHistoryFileName(other)).toBe(false)
  })
})
