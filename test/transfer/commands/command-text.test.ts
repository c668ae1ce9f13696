import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CommandSyntaxError } from '../../../src/transfer/commands/command-tokens.js'
import { formatCommand, parseCommand } from '../../../src/transfer/commands/commands.js'
import type { ReplicationCommand } from '../../../src/transfer/commands/replication-command.js'
import { unsized } from '../../helpers/unsized.js'

const startDefaults = {
  command: 'START_BACKUP',
  label: 'base backup',
  fast: false,
  maxRate: undefined,
  manifest: 'yes',
  manifestChecksums: undefined,
  incremental: false,
} as const

describe('parseCommand', () => {
  test.each<[string, ReplicationCommand]>([
    ['START_BACKUP', startDefaults],
    ["START_BACKUP LABEL 'it''s' FAST", { ...startDefaults, label: "it's", fast: true }],
    [
      "start_backup manifest_checksums 'sha256'\n\tmax_rate\f32 Manifest 'FORCE-encode'\r\v;",
      { ...startDefaults, maxRate: 32, manifest: 'force-encode', manifestChecksums: 'sha256' },
    ],
    ["START_BACKUP MAX_RATE 1048576 MANIFEST 'no'", { ...startDefaults, maxRate: 1_048_576, manifest: 'no' }],
    ["START_BACKUP LABEL'FAST'FAST", { ...startDefaults, label: 'FAST', fast: true }],
    ["START_BACKUP LABEL ''", { ...startDefaults, label: '' }],
    ["JOIN_BACKUP 'x'", { command: 'JOIN_BACKUP', backupId: 'x' }],
    ['LIST_TABLESPACES', { command: 'LIST_TABLESPACES', progress: false }],
    ['LIST_TABLESPACES PROGRESS;', { command: 'LIST_TABLESPACES', progress: true }],
    ['LIST_FILES ;', { command: 'LIST_FILES', tablespace: undefined }],
    ["LIST_FILES '4294967295'", { command: 'LIST_FILES', tablespace: 4_294_967_295 }],
    ['LIST_WAL_FILES', { command: 'LIST_WAL_FILES', startLsn: undefined, endLsn: undefined }],
    [
      "LIST_WAL_FILES END_WAL_LOCATION '1/A' START_WAL_LOCATION '0/ff'",
      { command: 'LIST_WAL_FILES', startLsn: 0xffn, endLsn: 0x1_0000_000an },
    ],
    [
      "SEND_FILE ('PG_VERSION')",
      { command: 'SEND_FILE', files: unsized('PG_VERSION'), verifyChecksums: true },
    ],
    [
      String.raw`SEND_FILE('a''b',e'\xFF\xc3\xA9\\\'''é\xed\xb2\x80','c\x41
')NOVERIFY_CHECKSUMS`,
      {
        command: 'SEND_FILE',
        files: unsized("a'b", "\udcffé\\''é\udced\udcb2\udc80", 'c\\x41\n'),
        verifyChecksums: false,
      },
    ],
    ['STOP_BACKUP', { command: 'STOP_BACKUP', wait: true }],
    ['STOP_BACKUP NOWAIT', { command: 'STOP_BACKUP', wait: false }],
    ['list_backups;', { command: 'LIST_BACKUPS' }],
    ['LEAVE_BACKUP', { command: 'LEAVE_BACKUP' }],
    ['ABORT_BACKUP', { command: 'ABORT_BACKUP' }],
    ['IDENTIFY_CLUSTER', { command: 'IDENTIFY_CLUSTER' }],
    ["find_wal_sender 'pbmanifest 1'", { command: 'FIND_WAL_SENDER', applicationName: 'pbmanifest 1' }],
    ["BUILD_MANIFEST 'x';", { command: 'BUILD_MANIFEST', backupId: 'x' }],
  ])('reads %s', (text, command) => {
    expect(parseCommand(text)).toEqual(command)
  })

  test.each([
    ['', 1, 'syntax error at end of input', /^The commands are IDENTIFY_CLUSTER, /],
    [' \n', 3, 'syntax error at end of input', /^The commands are /],
    ['BASE_BACKUP', 1, 'syntax error at or near "BASE_BACKUP"', /^The commands are /],
    ['toString', 1, 'syntax error at or near "toString"', /^The commands are /],
    [';', 1, 'syntax error at or near ";"', /^The commands are /],
    // The long s is an S in upper case, for JavaScript.
    ['\u017fTART_BACKUP', 1, 'syntax error at or near "\u017f"', /^The commands are /],
    ['START_BACKUP\u00a0FAST', 13, 'syntax error at or near "\u00a0"', undefined],
    ['START_BACKUP 😀', 14, 'syntax error at or near "😀"', undefined],
    ["START_BACKUP LABEL '😀😀' x", 25, 'syntax error at or near "x"', /^The options are LABEL, FAST, /],
    ['START_BACKUP FAST fast', 19, 'duplicate option "fast"', undefined],
    ['START_BACKUP __proto__', 14, 'syntax error at or near "__proto__"', /^The options are /],
    ['START_BACKUP LABEL', 19, 'syntax error at end of input', /single quotes/],
    ['START_BACKUP LABEL x', 20, 'syntax error at or near "x"', /single quotes/],
    ['START_BACKUP LABEL "x"', 20, 'syntax error at or near """', /single quotes/],
    ["START_BACKUP LABEL 'x", 20, 'unterminated quoted string at or near "\'x"', undefined],
    ["START_BACKUP LABEL 'x''", 20, "unterminated quoted string at or near \"'x''\"", undefined],
    ["START_BACKUP LABEL E'x\\'", 20, String.raw`unterminated quoted string at or near "E'x\'"`, undefined],
    ["START_BACKUP LABEL E'a\\x0'", 23, 'invalid escape sequence', /escape string/],
    ["START_BACKUP LABEL E'a\\n'", 23, 'invalid escape sequence', /escape string/],
    ["START_BACKUP LABEL E'a\\x00'", 23, 'a string cannot hold a null byte', /escape string/],
    ["START_BACKUP LABEL 'a\0'", 22, 'a command cannot hold a null byte', undefined],
    ["START_BACKUP LABEL 'a\udcff'", 22, 'a command must be valid Unicode', /\\xNN/],
    ['START_BACKUP MAX_RATE', 22, 'syntax error at end of input', /whole number/],
    ["START_BACKUP MAX_RATE '32'", 23, 'syntax error at or near "\'32\'"', /whole number/],
    ['START_BACKUP MAX_RATE -1', 23, 'syntax error at or near "-"', /whole number/],
    [
      'START_BACKUP MAX_RATE 31',
      23,
      '31 is outside the valid range for parameter "MAX_RATE" (32 .. 1048576)',
      undefined,
    ],
    [
      'START_BACKUP MAX_RATE 1048577',
      23,
      '1048577 is outside the valid range for parameter "MAX_RATE" (32 .. 1048576)',
      undefined,
    ],
    ["START_BACKUP MANIFEST 'maybe'", 23, 'unrecognized manifest option', /force-encode/],
    [
      "START_BACKUP MANIFEST_CHECKSUMS 'NONE' MANIFEST 'no'",
      14,
      'manifest checksums require a backup manifest',
      undefined,
    ],
    ['JOIN_BACKUP', 12, 'syntax error at end of input', /single quotes/],
    ["JOIN_BACKUP 'x' SESSION 'y'", 25, 'invalid session id', /32 lower-case hexadecimal digits/],
    [`JOIN_BACKUP 'x' SESSION '${'A'.repeat(32)}'`, 25, 'invalid session id', /random/],
    ["JOIN_BACKUP 'x' RECEIVED 1", 17, 'RECEIVED requires SESSION', undefined],
    [`JOIN_BACKUP 'x' RECEIVED -1`, 26, 'syntax error at or near "-"', /number of files/],
    [
      `JOIN_BACKUP 'x' RECEIVED ${'9'.repeat(30)}`,
      26,
      '99999999999999999999 is no number of files',
      undefined,
    ],
    ["JOIN_BACKUP 'x' 'y'", 17, 'syntax error at or near "\'y\'"', undefined],
    ["JOIN_BACKUP 'x';;", 17, 'syntax error at or near ";"', undefined],
    ['LIST_BACKUPS FAST', 14, 'syntax error at or near "FAST"', undefined],
    ["LEAVE_BACKUP 'x'", 14, 'syntax error at or near "\'x\'"', undefined],
    ["LIST_FILES '0'", 12, 'invalid tablespace OID', /OID/],
    ["LIST_FILES '4294967296'", 12, 'invalid tablespace OID', /OID/],
    ['LIST_FILES 16384', 12, 'syntax error at or near "16384"', /single quotes/],
    ["LIST_WAL_FILES START_WAL_LOCATION '0'", 35, 'invalid WAL location', /hexadecimal/],
    ['SEND_FILE', 10, 'syntax error at end of input', /parentheses/],
    ["SEND_FILE 'a'", 11, 'syntax error at or near "\'a\'"', /parentheses/],
    ['SEND_FILE ()', 12, 'syntax error at or near ")"', /single quotes/],
    ["SEND_FILE ('a',)", 16, 'syntax error at or near ")"', /single quotes/],
    ["SEND_FILE ('a' 'b')", 16, 'syntax error at or near "\'b\'"', undefined],
    ["SEND_FILE ('a') FAST", 17, 'syntax error at or near "FAST"', /NOVERIFY_CHECKSUMS/],
    [
      `x${'y'.repeat(99)}`,
      1,
      `syntax error at or near "x${'y'.repeat(59)}... (100 characters)"`,
      /^The commands are /,
    ],
  ])('refuses %j at character %i', (text, position, message, hint) => {
    const error = errorOf(text)
    expect(error).toBeInstanceOf(CommandSyntaxError)
    expect(error).toMatchObject({ code: 'USAGE', message, position })
    expect(error?.hint ?? 'none').toMatch(hint ?? /^none$/)
  })

  test('throws nothing else, whatever the text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const error = errorOf(text)
        if (error === undefined) return
        expect(error).toBeInstanceOf(CommandSyntaxError)
        expect(error.message).not.toMatch(/[\n\r]/)
        expect(error.position).toBeGreaterThanOrEqual(1)
        expect(error.position).toBeLessThanOrEqual(Array.from(text).length + 1)
      }),
      { numRuns: 2000 },
    )
  })

  test('takes long commands, and refuses them, without running out of stack', () => {
    const many = Array.from({ length: 100_000 }, (_, index) => `'base/5/${index}'''`).join(',')
    expect(parseCommand(`SEND_FILE (${many})`)).toMatchObject({ command: 'SEND_FILE' })
    expect(errorOf(`JOIN_BACKUP '${"''".repeat(5_000_000)}`)?.message).toMatch(/^unterminated quoted string/)
  })
})

describe('a string of a command', () => {
  const longest = `${'ä'.repeat(2047)}\udcffx`

  test('has 4096 bytes at most', () => {
    const pathnames = [longest, 'x'.repeat(4096)]
    const command: ReplicationCommand = {
      command: 'SEND_FILE',
      files: unsized(...pathnames),
      verifyChecksums: true,
    }
    expect(parseCommand(formatCommand(command))).toEqual(command)
  })

  test.each([
    ["SEND_FILE ('a', '", 'x'.repeat(4097), "')", `'${'x'.repeat(59)}... (4100 characters)`],
    ["SEND_FILE ('", 'ä'.repeat(2049), "')", `'${'ä'.repeat(59)}... (2052 characters)`],
    ["SEND_FILE ('", '🐘'.repeat(1025), "')", `'${'🐘'.repeat(59)}... (1028 characters)`],
    ["SEND_FILE (E'", '\\xff'.repeat(4097), "')", `E'${'\\xff'.repeat(14)}... (16392 characters)`],
    ["JOIN_BACKUP '", "''".repeat(3_000_000), "'", `'${"'".repeat(59)}... (6000002 characters)`],
  ])('is refused when it is longer: %.20s', (before, content, after, shown) => {
    const error = errorOf(`${before}${content}${after}`)
    expect(error?.message).toBe(`quoted string too long (max 4096 bytes) at or near "${shown}"`)
    expect(error?.position).toBe(before.replace(/E?'$/, '').length + 1)
  })
})

describe('formatCommand', () => {
  test.each(['a\0', '\ud800', '\udc00', '\udcc3\udca9'])('refuses %j, which no command can hold', (value) => {
    expect(() => formatCommand({ command: 'JOIN_BACKUP', backupId: value })).toThrow(RangeError)
  })
})

function errorOf(text: string): CommandSyntaxError | undefined {
  try {
    parseCommand(text)
    return undefined
  } catch (error) {
    return error as CommandSyntaxError
  }
}

const words = (
  'START_BACKUP LABEL FAST MAX_RATE MANIFEST MANIFEST_CHECKSUMS JOIN_BACKUP LIST_FILES LIST_WAL_FILES SEND_FILE ' +
  "START_WAL_LOCATION NOVERIFY_CHECKSUMS STOP_BACKUP ( ) , ; ' '' E' \\ \\x \\xff 0/0 32 \n \t é \0 \udcff 😀"
).split(' ')

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.oneof(fc.constantFrom(...words), fc.string()), { maxLength: 12 })
    .map((parts) => parts.join(' ')),
  fc.array(fc.constantFrom(...words), { maxLength: 12 }).map((parts) => parts.join('')),
)
