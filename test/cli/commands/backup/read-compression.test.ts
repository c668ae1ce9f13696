import { expect, test } from 'vitest'
import { readCompression } from '../../../../cli/commands/backup/read-compression.js'
import type { BackupFormat } from '../../../../src/transfer/client/options.js'

/** What is understood, and how often there was a warning of it. */
function read(text: string, format: BackupFormat = 'tar'): unknown {
  const warnings: string[] = []
  const options = readCompression(text, format, (message) => warnings.push(message))
  return { ...options, warnings }
}

test.each([
  ['none', { method: 'none', level: undefined }],
  ['client-none', { method: 'none', level: undefined }],
  ['server-none', { method: 'none', level: undefined }],
  ['none:level=0', { method: 'none', level: undefined }],
  ['0', { method: 'none', level: undefined }],
  ['', { method: 'none', level: undefined }],
  ['5', { method: 'gzip', level: 5 }],
  ['client-7', { method: 'gzip', level: 7 }],
  ['gzip', { method: 'gzip', level: undefined }],
  ['gzip:-1', { method: 'gzip', level: -1 }],
  ['client-gzip:9', { method: 'gzip', level: 9 }],
  ['lz4:1', { method: 'lz4', level: 1 }],
  ['lz4:level=0', { method: 'lz4', level: 0 }],
  ['zstd:level=19', { method: 'zstd', level: 19 }],
  ['zstd:-5', { method: 'zstd', level: -5 }],
  ['client-zstd:long=off', { method: 'zstd', level: undefined }],
] as const)('-Z %s is understood', (text, compression) => {
  expect(read(text)).toEqual({ compression, warnings: [] })
})

test.each([
  ['client-lz4:5', { method: 'lz4', level: 1 }, 'lz4 compresses at level 1, and not at 5'],
  ['lz4:level=12', { method: 'lz4', level: 1 }, 'lz4 compresses at level 1, and not at 12'],
  ['zstd:level=1,long', { method: 'zstd', level: 1 }, 'compression option "long" has no effect'],
  ['zstd:long=ON', { method: 'zstd', level: undefined }, 'compression option "long" has no effect'],
  ['client-zstd:workers=3', { method: 'zstd', level: undefined }, 'compression option "workers" has no'],
])('-Z %s is taken as far as it goes, with a warning', (text, compression, warning) => {
  expect(read(text)).toEqual({ compression, warnings: [expect.stringContaining(warning)] })
})

test.each(['server-gzip:5', 'server-lz4', 'server-zstd:3'])(
  '-Z %s leaves a directory as it is, and WAL that is streamed, with a warning',
  (text) => {
    const warnings = [expect.stringContaining('compression on the server is not supported')]
    expect(read(text, 'plain')).toEqual({ warnings })
    expect(read(text, 'tar')).toMatchObject({ compression: {}, compressWal: false, warnings })
  },
)

const algorithm = 'invalid compression specification: compression algorithm'
const invalid = 'invalid compression specification:'

// The words of pg_basebackup, in either format.
test.each([
  ['extrasquishy', 'unrecognized compression algorithm: "extrasquishy"'],
  ['brotli:1', 'unrecognized compression algorithm: "brotli"'],
  ['none+', 'unrecognized compression algorithm: "none+"'],
  ['none:1', `${algorithm} "none" does not accept a compression level`],
  ['none:workers=1', `${algorithm} "none" does not accept a worker count`],
  ['10', `${algorithm} "gzip" expects a compression level between 1 and 9 (default at -1)`],
  ['-5', `${algorithm} "gzip" expects a compression level between 1 and 9 (default at -1)`],
  ['gzip:level=236', `${algorithm} "gzip" expects a compression level between 1 and 9 (default at -1)`],
  ['zstd:23', `${algorithm} "zstd" expects a compression level between -131072 and 22 (default at 3)`],
  ['lz4:13', `${algorithm} "lz4" expects a compression level between 1 and 12 (default at 0)`],
  ['gzip:', `${invalid} found empty string where a compression option was expected`],
  ['gzip:level=9,', `${invalid} found empty string where a compression option was expected`],
  ['gzip:level', `${invalid} compression option "level" requires a value`],
  ['gzip:level=', `${invalid} value for compression option "level" must be an integer`],
  ['gzip:level=high', `${invalid} value for compression option "level" must be an integer`],
  ['gzip:thunk', `${invalid} unrecognized compression option: "thunk"`],
  ['gzip:workers=3', `${algorithm} "gzip" does not accept a worker count`],
  ['gzip:long', `${algorithm} "gzip" does not support long-distance mode`],
  ['zstd:workers=x', `${invalid} value for compression option "workers" must be an integer`],
  ['zstd:long=maybe', `${invalid} value for compression option "long" must be a Boolean value`],
])('-Z %s is refused', (text, message) => {
  for (const place of ['', 'client-', 'server-']) {
    for (const format of ['plain', 'tar'] as const) {
      expect(() => read(`${place}${text}`, format)).toThrow(
        expect.objectContaining({ code: 'USAGE', message }),
      )
    }
  }
})

test.each(['gzip', '9', 'client-lz4', 'zstd:long'])('-Z %s is refused for a directory', (text) => {
  const message = 'only tar mode backups can be compressed'
  expect(() => read(text, 'plain')).toThrow(expect.objectContaining({ code: 'USAGE', message }))
})

test.each(['none', '0'])('-Z %s is not refused for a directory', (text) => {
  expect(read(text, 'plain')).toMatchObject({ compression: { method: 'none' }, warnings: [] })
})
