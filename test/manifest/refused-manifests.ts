import {
  fileEntry,
  manifestBody,
  manifestText,
  rangeEntry,
  versionLine,
  versionLine2,
  withChecksum,
} from './manifest-text.js'

/** A manifest that `pg_verifybackup` refuses. */
export interface RefusedManifest {
  readonly name: string
  readonly bytes: Buffer
  /** Our message. */
  readonly message: string
  /** What PostgreSQL 15 says, where that is something else. */
  readonly says15: string
}

interface Row {
  readonly name: string
  readonly text: string | Buffer
  /** What follows `could not parse backup manifest: `. */
  readonly reason?: string
  /** The whole message, where it begins in another way. */
  readonly message?: string
  /** The reason or message of PostgreSQL 15, where it differs. */
  readonly reason15?: string
  readonly message15?: string
}

const prefix = 'could not parse backup manifest: '

// PostgreSQL 14 to 16 keep the details of JSON errors to themselves.
const brokenJson = 'parsing failed'

function complete(row: Row): RefusedManifest {
  const message = row.message ?? `${prefix}${row.reason ?? ''}`
  const says15 = row.message15 ?? (row.reason15 === undefined ? message : `${prefix}${row.reason15}`)
  return { name: row.name, bytes: Buffer.from(row.text), message, says15 }
}

/** A file's entry with other text between its braces. */
function withFile(fields: string): Buffer {
  return manifestText({ files: [`{ ${fields} }`] })
}

function withRange(fields: string): Buffer {
  return manifestText({ ranges: [`{ ${fields} }`] })
}

/** Another spelling of the file's size. */
function withSize(text: string): Buffer {
  return withFile(`"Path": "f", "Size": ${text}`)
}

function withLsns(start: string, end: string): Buffer {
  return withRange(`"Timeline": 1, "Start-LSN": ${start}, "End-LSN": ${end}`)
}

const whole = manifestText().toString()
const ended = 'The input string ended unexpectedly.'
const zeros = '0'.repeat(64)

const json: readonly Row[] = [
  { name: 'an empty file', text: '', reason: ended, reason15: brokenJson },
  { name: 'only blanks', text: ' \t\r\n \n', reason: ended, reason15: brokenJson },
  { name: 'a truncated object', text: whole.slice(0, 100), reason: ended, reason15: brokenJson },
  { name: 'a truncated string', text: whole.slice(0, -10), reason: ended, reason15: brokenJson },
  {
    name: 'a word after the end',
    text: `${whole}junk`,
    reason: 'Token "junk" is invalid.',
    reason15: brokenJson,
  },
  {
    name: 'an object after the end',
    text: `${whole}{`,
    reason: 'Expected end of input, but found "{".',
    reason15: brokenJson,
  },
  { name: 'a bare word', text: 'hello\n', reason: 'Token "hello" is invalid.', reason15: brokenJson },
  {
    name: 'a byte order mark',
    text: `\ufeff${whole}`,
    reason: String.raw`Token "\xef\xbb\xbf" is invalid.`,
    reason15: brokenJson,
  },
  {
    name: 'a comment',
    text: withChecksum(`${versionLine}/* */${manifestBody({ head: '' })}`),
    reason: 'Token "/" is invalid.',
    reason15: brokenJson,
  },
  {
    name: 'a comma before a bracket',
    text: manifestText({ files: [fileEntry, ''] }),
    reason: 'Expected JSON value, but found "]".',
    reason15: brokenJson,
  },
  {
    name: 'a comma before a brace',
    text: withFile('"Path": "f", "Size": 3,'),
    reason: 'Expected string, but found "}".',
    reason15: brokenJson,
  },
  {
    name: 'no comma between two files',
    text: manifestText({ files: [`${fileEntry} ${fileEntry}`] }),
    reason: 'Expected "," or "]", but found "{".',
    reason15: brokenJson,
  },
  {
    name: 'no colon',
    text: withFile('"Path" "f"'),
    reason: 'Expected ":", but found "f".',
    reason15: brokenJson,
  },
  {
    name: 'a key that is no string',
    text: withFile('Path: "f"'),
    reason: 'Token "Path" is invalid.',
    reason15: brokenJson,
  },
  {
    name: 'a number for a key',
    text: withFile('5: "f"'),
    reason: 'Expected string or "}", but found "5".',
    reason15: brokenJson,
  },
  {
    name: 'a number with a leading zero',
    text: withSize('03'),
    reason: 'Token "03" is invalid.',
    reason15: brokenJson,
  },
  {
    name: 'a line feed in a string',
    text: withFile('"Path": "a\nb", "Size": 3'),
    reason: 'Character with value 0x0a must be escaped.',
    reason15: brokenJson,
  },
  {
    name: 'an unknown escape',
    text: withFile(String.raw`"Path": "\x", "Size": 3`),
    reason: String.raw`Escape sequence "\x" is invalid.`,
    reason15: brokenJson,
  },
  {
    name: 'an escaped line feed',
    text: withFile('"Path": "\\\n", "Size": 3'),
    reason: String.raw`Escape sequence "\\x0a" is invalid.`,
    reason15: brokenJson,
  },
  {
    name: 'an escaped null character',
    text: withFile(String.raw`"Path": "a\u0000b", "Size": 3`),
    reason: String.raw`\u0000 cannot be converted to text.`,
    reason15: brokenJson,
  },
  {
    name: 'an escape that is not four digits',
    text: withFile(String.raw`"Path": "\u12g4", "Size": 3`),
    reason: String.raw`"\u" must be followed by four hexadecimal digits.`,
    reason15: brokenJson,
  },
  {
    name: 'a high surrogate alone',
    text: withFile(String.raw`"Path": "\ud83dx", "Size": 3`),
    reason: 'Unicode low surrogate must follow a high surrogate.',
    reason15: brokenJson,
  },
  {
    name: 'a high surrogate at the end',
    text: withFile(String.raw`"Path": "\ud83d", "Size": 3`),
    reason: 'Unicode low surrogate must follow a high surrogate.',
    reason15: brokenJson,
  },
  {
    name: 'a low surrogate alone',
    text: withFile(String.raw`"Path": "\udc18", "Size": 3`),
    reason: 'Unicode low surrogate must follow a high surrogate.',
    reason15: brokenJson,
  },
  {
    name: 'two high surrogates',
    text: withFile(String.raw`"Path": "\ud83d\ud83d", "Size": 3`),
    reason: 'Unicode high surrogate must not follow a high surrogate.',
    reason15: brokenJson,
  },
]

const topLevel: readonly Row[] = [
  { name: 'an array', text: '[]\n', reason: 'unexpected array start' },
  { name: 'a string', text: '"hello"\n', reason: 'unexpected scalar' },
  { name: 'a null', text: 'null\n', reason: 'unexpected scalar' },
  { name: 'an empty object', text: '{}\n', reason: 'unexpected object end' },
  {
    name: 'an end before the checksum',
    text: `${versionLine}"Files": []}\n`,
    reason: 'unexpected object end',
  },
  {
    name: 'a first key that is not the version',
    text: withChecksum('{ "Files": [],\n'),
    reason: 'expected version indicator',
  },
  {
    name: 'a version that is no number',
    text: manifestText({ head: '{ "PostgreSQL-Backup-Manifest-Version": "one",\n' }),
    reason: 'manifest version not an integer',
    reason15: 'unexpected manifest version',
  },
  {
    name: 'a null for a version',
    text: manifestText({ head: '{ "PostgreSQL-Backup-Manifest-Version": null,\n' }),
    reason: 'manifest version not an integer',
    reason15: 'unexpected manifest version',
  },
  ...['0', '3', '12', '18446744073709551617'].map((version) => ({
    name: `version ${version}`,
    text: manifestText({ head: `{ "PostgreSQL-Backup-Manifest-Version": ${version},\n` }),
    reason: 'unexpected manifest version',
  })),
  {
    name: 'an object for a version',
    text: manifestText({ head: '{ "PostgreSQL-Backup-Manifest-Version": {},\n' }),
    reason: 'unexpected object start',
  },
  {
    name: 'an array for a version',
    text: manifestText({ head: '{ "PostgreSQL-Backup-Manifest-Version": [],\n' }),
    reason: 'unexpected array start',
  },
  ...['"one"', '1.5', '1e3', 'null', '-1', '18446744073709551616', '""'].map((identifier) => ({
    name: `system identifier ${identifier}`,
    text: manifestText({
      head: `{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": ${identifier},\n`,
    }),
    reason: 'system identifier in manifest not an integer',
    reason15: 'unexpected manifest version',
  })),
  {
    name: 'an unknown key',
    text: manifestText({ head: `${versionLine}"Comment": "hello",\n` }),
    reason: 'unrecognized top-level field',
  },
  {
    name: 'a system identifier in version 1',
    text: manifestText({ head: `${versionLine}"System-Identifier": 7711113546893945671,\n` }),
    reason: 'unrecognized top-level field',
  },
  {
    name: 'the version a second time',
    text: manifestText({ head: `${versionLine}"PostgreSQL-Backup-Manifest-Version": 1,\n` }),
    reason: 'unrecognized top-level field',
  },
  ...['Files', 'WAL-Ranges'].flatMap((list) => [
    ...['null', '3', '"x"', 'true'].map((scalar) => ({
      name: `${scalar} for ${list}`,
      text: withChecksum(`${versionLine}"${list}": ${scalar},\n`),
      reason: 'unexpected scalar',
    })),
    {
      name: `an object for ${list}`,
      text: withChecksum(`${versionLine}"${list}": {},\n`),
      reason: 'unexpected object start',
    },
    {
      name: `a scalar in ${list}`,
      text: withChecksum(`${versionLine}"${list}": [\n3\n],\n`),
      reason: 'unexpected scalar',
    },
    {
      name: `an array in ${list}`,
      text: withChecksum(`${versionLine}"${list}": [\n[]\n],\n`),
      reason: 'unexpected array start',
    },
  ]),
]

const files: readonly Row[] = [
  {
    name: 'an array for a path',
    text: withFile('"Path": [], "Size": 3'),
    reason: 'unexpected array start',
  },
  {
    name: 'an object for a size',
    text: withSize('{}'),
    reason: 'unexpected object start',
  },
  { name: 'an unknown key', text: withFile('"Path": "f", "Mode": 3'), reason: 'unexpected file field' },
  { name: 'an empty object', text: withFile(''), reason: 'missing path name' },
  { name: 'no path', text: withFile('"Size": 3'), reason: 'missing path name' },
  {
    name: 'a path and an encoded path',
    text: withFile('"Path": "f", "Encoded-Path": "66", "Size": 3'),
    reason: 'both path name and encoded path name',
  },
  { name: 'no size', text: withFile('"Path": "f"'), reason: 'missing size' },
  {
    name: 'a checksum without algorithm',
    text: withFile('"Path": "f", "Size": 3, "Checksum": "8a744722"'),
    reason: 'checksum without algorithm',
  },
  {
    name: 'an empty checksum without algorithm',
    text: withFile('"Path": "f", "Size": 3, "Checksum": ""'),
    reason: 'checksum without algorithm',
  },
  ...['666', '6g', 'xyz!', '66 6'].map((hex) => ({
    name: `encoded path "${hex}"`,
    text: withFile(`"Encoded-Path": "${hex}", "Size": 3`),
    reason: 'could not decode file name',
  })),
  ...['3.0', '3e0', '"3 "', 'null', 'true', '"0x3"', '"three"'].map((size) => ({
    name: `size ${size}`,
    text: withSize(size),
    reason: 'file size is not an integer',
  })),
  {
    name: 'an unknown algorithm',
    text: withFile('"Path": "f", "Size": 3, "Checksum-Algorithm": "MD5", "Checksum": "00"'),
    message: 'unrecognized checksum algorithm: "MD5"',
  },
  ...['"8a74472"', '"8a74472g"', '"8a 74472"'].map((checksum) => ({
    name: `checksum ${checksum}`,
    text: withFile(`"Path": "f", "Size": 3, "Checksum-Algorithm": "CRC32C", "Checksum": ${checksum}`),
    message: `invalid checksum for file "f": ${checksum}`,
  })),
  {
    name: 'a null for a checksum',
    text: withFile('"Path": "f", "Size": 3, "Checksum-Algorithm": "CRC32C", "Checksum": null'),
    message: 'invalid checksum for file "f": "null"',
  },
]

const firstOfTwo: readonly Row[] = [
  {
    name: 'no path before no size',
    text: withFile('"Checksum": ""'),
    reason: 'missing path name',
  },
  {
    name: 'both paths before no size',
    text: withFile('"Path": "f", "Encoded-Path": "6"'),
    reason: 'both path name and encoded path name',
  },
  {
    name: 'no size before a checksum without algorithm',
    text: withFile('"Encoded-Path": "6", "Checksum": "0"'),
    reason: 'missing size',
  },
  {
    name: 'a checksum without algorithm before a bad encoded path',
    text: withFile('"Encoded-Path": "6", "Size": "x", "Checksum": "0"'),
    reason: 'checksum without algorithm',
  },
  {
    name: 'a bad encoded path before a bad size',
    text: withFile('"Encoded-Path": "6", "Size": "x"'),
    reason: 'could not decode file name',
  },
  {
    name: 'a bad size before a bad algorithm',
    text: withFile('"Path": "f", "Size": "x", "Checksum-Algorithm": "MD5", "Checksum": "0"'),
    reason: 'file size is not an integer',
  },
  {
    name: 'a bad algorithm before a bad checksum',
    text: withFile('"Path": "f", "Size": 3, "Checksum-Algorithm": "MD5", "Checksum": "0"'),
    message: 'unrecognized checksum algorithm: "MD5"',
  },
  {
    name: 'no end LSN before a bad timeline',
    text: withRange('"Timeline": "x", "Start-LSN": "x"'),
    reason: 'missing end LSN',
  },
  {
    name: 'a bad timeline before bad LSNs',
    text: withRange('"Timeline": "x", "Start-LSN": "x", "End-LSN": "x"'),
    reason: 'timeline is not an integer',
  },
  {
    name: 'a bad start LSN before a bad end LSN',
    text: withLsns('"x"', '"x"'),
    reason: 'could not parse start LSN',
  },
]

const walRanges: readonly Row[] = [
  { name: 'an unknown key', text: withRange('"Timelines": 1'), reason: 'unexpected WAL range field' },
  {
    name: 'an object for a timeline',
    text: withRange('"Timeline": {}'),
    reason: 'unexpected object start',
  },
  { name: 'an empty object', text: withRange(''), reason: 'missing timeline' },
  {
    name: 'no timeline',
    text: withRange('"Start-LSN": "0/1", "End-LSN": "0/2"'),
    reason: 'missing timeline',
  },
  {
    name: 'no start LSN',
    text: withRange('"Timeline": 1, "End-LSN": "0/2"'),
    reason: 'missing start LSN',
  },
  {
    name: 'no end LSN',
    text: withRange('"Timeline": 1, "Start-LSN": "0/2"'),
    reason: 'missing end LSN',
  },
  ...['1.0', '"1 "', 'null', '"one"'].map((timeline) => ({
    name: `timeline ${timeline}`,
    text: withRange(`"Timeline": ${timeline}, "Start-LSN": "0/1", "End-LSN": "0/2"`),
    reason: 'timeline is not an integer',
  })),
  ...['"0"', '"/1"', '"0/"', '""', '"g/1"', 'null', '"0-1"'].flatMap((lsn) => [
    { name: `start LSN ${lsn}`, text: withLsns(lsn, '"0/2"'), reason: 'could not parse start LSN' },
    { name: `end LSN ${lsn}`, text: withLsns('"0/1"', lsn), reason: 'could not parse end LSN' },
  ]),
]

const ownChecksum: readonly Row[] = [
  {
    name: 'a key after the checksum',
    text: whole.replace(/\}\n$/, ', "Comment": 1}\n'),
    reason: 'unexpected object field',
  },
  {
    name: 'a second checksum',
    text: whole.replace(/\}\n$/, `, "Manifest-Checksum": "${zeros}"}\n`),
    reason: 'unexpected object field',
  },
  {
    name: 'an object for the checksum',
    text: `${versionLine}"Manifest-Checksum": {}}\n`,
    reason: 'unexpected object start',
  },
  {
    name: 'an array for the checksum',
    text: `${versionLine}"Manifest-Checksum": []}\n`,
    reason: 'unexpected array start',
  },
  {
    name: 'no line feed',
    text: whole.replaceAll('\n', ' '),
    reason: 'expected at least 2 lines',
  },
  {
    name: 'one line feed',
    text: `${whole.replaceAll('\n', ' ')}\n`,
    reason: 'expected at least 2 lines',
  },
  {
    name: 'no line feed at the end',
    text: whole.slice(0, -1),
    reason: 'last line not newline-terminated',
  },
  {
    name: 'a blank at the end',
    text: `${whole} `,
    reason: 'last line not newline-terminated',
  },
  ...['', 'ab', zeros.slice(1), `${zeros}0`, 'g'.repeat(64)].map((hex) => ({
    name: `checksum "${hex}"`,
    text: `${manifestBody()}"Manifest-Checksum": "${hex}"}\n`,
    message: `invalid manifest checksum: "${hex}"`,
  })),
  {
    name: 'a null for the checksum',
    text: `${manifestBody()}"Manifest-Checksum": null}\n`,
    message: 'invalid manifest checksum: "null"',
  },
  {
    name: 'another checksum',
    text: `${manifestBody()}"Manifest-Checksum": "${zeros}"}\n`,
    message: 'manifest checksum mismatch',
  },
  {
    name: 'another size under the old checksum',
    text: whole.replace('"Size": 3', '"Size": 4'),
    message: 'manifest checksum mismatch',
  },
  {
    name: 'another kind of line end under the old checksum',
    text: whole.replaceAll('\n', '\r\n'),
    message: 'manifest checksum mismatch',
  },
  {
    name: 'an empty line at the end',
    text: `${whole}\n`,
    message: 'manifest checksum mismatch',
  },
  {
    name: 'the checksum over a part of the lines',
    text: Buffer.concat([
      Buffer.from(manifestBody()),
      withChecksum(versionLine).subarray(Buffer.byteLength(versionLine)),
    ]),
    message: 'manifest checksum mismatch',
  },
]

/** Every row of the table of what PostgreSQL's parser rejects, by the part of the manifest that is wrong. */
export const refusedManifests: Readonly<Record<string, readonly RefusedManifest[]>> = {
  JSON: json.map(complete),
  'the top level': topLevel.map(complete),
  'a file': files.map(complete),
  'a WAL range': walRanges.map(complete),
  'the first of two things that are wrong': firstOfTwo.map(complete),
  "the manifest's own checksum": ownChecksum.map(complete),
}

/** Good manifests, so that the refusals of the table are known to be for their own reason. */
export const goodManifests: readonly { readonly name: string; readonly bytes: Buffer }[] = [
  { name: 'version 1', bytes: manifestText() },
  { name: 'version 2', bytes: manifestText({ head: versionLine2 }) },
  {
    name: 'no file',
    bytes: withChecksum(`${versionLine}"Files": [\n],\n"WAL-Ranges": [\n${rangeEntry}\n],\n`),
  },
  {
    name: 'no WAL range',
    bytes: withChecksum(`${versionLine}"Files": [\n${fileEntry}\n],\n"WAL-Ranges": [\n\n],\n`),
  },
  { name: 'no list of WAL ranges', bytes: withChecksum(`${versionLine}"Files": [\n${fileEntry}\n],\n`) },
]
