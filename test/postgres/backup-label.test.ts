import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseBackupLabel } from '../../src/postgres/backup-label.js'
import { badFileError } from './bad-file-error.js'

const lines = [
  'START WAL LOCATION: 0/E00028 (file 00000001000000000000000E)',
  'CHECKPOINT LOCATION: 0/E00060',
  'BACKUP METHOD: streamed',
  'BACKUP FROM: primary',
  'START TIME: 2026-11-22 21:36:05 UTC',
  'LABEL: nightly',
  'START TIMELINE: 1',
] as const

const whole = `${lines.join('\n')}\n`
const parse = (text: string): ReturnType<typeof parseBackupLabel> => parseBackupLabel(text, 'backup_label')

describe('parseBackupLabel', () => {
  test('reads what the server writes', () => {
    expect(parse(whole)).toEqual({
      startLsn: 0xe00028n,
      startSegmentName: '00000001000000000000000E',
      startSegmentTimeline: 1,
      checkpointLsn: 0xe00060n,
      backupMethod: 'streamed',
      backupFrom: 'primary',
      startTime: '2026-11-22 21:36:05 UTC',
      label: 'nightly',
      startTimeline: 1,
      incrementalFrom: undefined,
    })
  })

  test('reads what an incremental backup builds on', () => {
    const text = `${whole}INCREMENTAL FROM LSN: 0/3C00028\nINCREMENTAL FROM TLI: 1\n`
    expect(parse(text)).toMatchObject({
      label: 'nightly',
      startTimeline: 1,
      incrementalFrom: { lsn: 0x3c00028n, timeline: 1 },
    })
  })

  test.each([
    ['primary', 'primary'],
    ['master', 'primary'],
    ['standby', 'standby'],
    ['standby \r', 'standby'],
  ])('takes a backup from %j for one from a %s', (word, backupFrom) => {
    expect(parse(whole.replace('FROM: primary', `FROM: ${word}`)).backupFrom).toBe(backupFrom)
  })

  test('reads what pg_rewind writes: neither label nor timeline', () => {
    const text = `${lines.slice(0, 5).join('\n')}\n`
      .replace('streamed', 'pg_rewind')
      .replace('primary', 'standby')
    expect(parse(text)).toMatchObject({
      backupMethod: 'pg_rewind',
      backupFrom: 'standby',
      startTime: '2026-11-22 21:36:05 UTC',
      label: undefined,
      startTimeline: undefined,
    })
  })

  test('reads a file of two lines', () => {
    expect(parse(`${lines[0]}\n${lines[1]}\n`)).toMatchObject({
      checkpointLsn: 0xe00060n,
      startTime: undefined,
    })
  })

  test.each([
    ['without final line feed', whole.trimEnd()],
    ['with blank lines at the end', `${whole}\n \n`],
    ['with CRLF after the first two lines', whole.replace('TIMELINE: 1\n', 'TIMELINE: 1\r\n')],
  ])('reads the last lines %s', (_, text) => {
    expect(parse(text)).toMatchObject({ label: 'nightly', startTimeline: 1 })
  })

  test('tells the lines of a label from those that follow it', () => {
    const anyLine = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(...lines, 'START TIMELINE: 9', 'INCREMENTAL FROM LSN: 0/1', 'INCREMENTAL FROM TLI: 7'),
    )
    const anyLabel = fc.array(anyLine).map((parts) => parts.join('\n'))
    fc.assert(
      fc.property(anyLabel, (label) => {
        const text = whole.replace('nightly', () => label)
        expect(parse(text)).toEqual({ ...parse(whole), label })
      }),
    )
  })

  test.each([
    ['an empty file', '', 'expected line "START WAL LOCATION: LSN (file SEGMENT)"'],
    ['CRLF', whole.replaceAll('\n', '\r\n'), 'expected line "START WAL LOCATION: LSN (file SEGMENT)"'],
    ['a first line cut off', lines[0], 'expected line "START WAL LOCATION: LSN (file SEGMENT)"'],
    ['a line before the first', `\n${whole}`, 'expected line "START WAL LOCATION: LSN (file SEGMENT)"'],
    [
      'a start LSN that is none',
      whole.replace('0/E00028', '0E00028'),
      'expected line "START WAL LOCATION: LSN (file SEGMENT)"',
    ],
    [
      'a segment name too short',
      whole.replace('0E)', 'E)'),
      'expected line "START WAL LOCATION: LSN (file SEGMENT)"',
    ],
    [
      'timeline 0',
      whole.replace('(file 00000001', '(file 00000000'),
      'expected line "START WAL LOCATION: LSN (file SEGMENT)"',
    ],
    [
      'a blank at the end of the first line',
      whole.replace(')', ') '),
      'expected line "START WAL LOCATION: LSN (file SEGMENT)"',
    ],
    [
      'CRLF on the second line',
      whole.replace('E00060', 'E00060\r'),
      'expected line "CHECKPOINT LOCATION: LSN"',
    ],
    ['a second line cut off', `${lines[0]}\n${lines[1]}`, 'expected line "CHECKPOINT LOCATION: LSN"'],
    [
      'the lines of a history file',
      whole.replace('CHECKPOINT', 'STOP WAL'),
      'expected line "CHECKPOINT LOCATION: LSN"',
    ],
    [
      'another timeline',
      whole.replace('TIMELINE: 1', 'TIMELINE: 2'),
      'timeline ID parsed is 2, but expected 1',
    ],
    ['no timeline', whole.replace('TIMELINE: 1', 'TIMELINE: x'), 'expected line "START TIMELINE: TIMELINE"'],
    [
      'half of the incremental lines',
      `${whole}INCREMENTAL FROM TLI: 1\n`,
      'expected both or neither of lines "INCREMENTAL FROM LSN" and "INCREMENTAL FROM TLI"',
    ],
    [
      'the other half',
      `${whole}INCREMENTAL FROM LSN: 0/1\n`,
      'expected both or neither of lines "INCREMENTAL FROM LSN" and "INCREMENTAL FROM TLI"',
    ],
    [
      'no incremental LSN',
      `${whole}INCREMENTAL FROM LSN: x\nINCREMENTAL FROM TLI: 1\n`,
      'expected line "INCREMENTAL FROM LSN: LSN"',
    ],
  ])('refuses %s', (_, text, what) => {
    expect(() => parse(text)).toThrow(badFileError(`"backup_label": invalid data in file: ${what}`))
  })
})
