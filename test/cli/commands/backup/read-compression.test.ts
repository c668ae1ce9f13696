import { expect, test } from 'vitest'
import { readCompression } from '../../../../cli/commands/backup/read-compression.js'

test.each([
  ['none', { method: 'none', level: undefined }],
  ['server-none', { method: 'none', level: undefined }],
  ['0', { method: 'none', level: undefined }],
  ['5', { method: 'gzip', level: 5 }],
  ['gzip', { method: 'gzip', level: undefined }],
  ['client-gzip:9', { method: 'gzip', level: 9 }],
  ['server-lz4', { method: 'lz4', level: undefined }],
  ['lz4:1', { method: 'lz4', level: 1 }],
  ['zstd:level=19', { method: 'zstd', level: 19 }],
  ['zstd:-5', { method: 'zstd', level: -5 }],
] as const)('%s is understood', (text, settings) => {
  expect(readCompression(text, 'tar')).toEqual(settings)
})

const algorithm = 'invalid compression specification: compression algorithm'
const invalid = 'invalid compression specification:'

// The words of pg_basebackup where it has any.
test.each([
  ['brotli:1', 'unrecognized compression algorithm: "brotli"'],
  ['none:1', `${algorithm} "none" does not accept a compression level`],
  ['10', `${algorithm} "gzip" expects a compression level between 1 and 9 (default at -1)`],
  ['zstd:23', `${algorithm} "zstd" expects a compression level between -131072 and 22 (default at 3)`],
  ['client-lz4:13', `${algorithm} "lz4" expects a compression level between 1 and 12 (default at 0)`],
  ['lz4:9', 'lz4 is supported at level 1 only'],
  ['gzip:', `${invalid} found empty string where a compression option was expected`],
  ['gzip:level', `${invalid} compression option "level" requires a value`],
  ['gzip:level=x', `${invalid} value for compression option "level" must be an integer`],
  ['gzip:fast', `${invalid} unrecognized compression option: "fast"`],
  ['gzip:workers=2', `${algorithm} "gzip" does not accept a worker count`],
  ['lz4:long', `${algorithm} "lz4" does not support long-distance mode`],
  ['zstd:level=3,workers=2', 'compression option "workers" is not supported'],
  ['zstd:long', 'compression option "long" is not supported'],
])('%s is refused', (text, message) => {
  expect(() => readCompression(text, 'tar')).toThrow(expect.objectContaining({ code: 'USAGE', message }))
})

test.each([
  ['gzip', 'only tar mode backups can be compressed'],
  ['9', 'only tar mode backups can be compressed'],
  ['server-zstd:3', 'compression on the server is not supported'],
])('%s is refused for a directory', (text, message) => {
  expect(() => readCompression(text, 'plain')).toThrow(expect.objectContaining({ code: 'USAGE', message }))
})

test.each(['none', '0'])('%s is not refused for a directory', (text) => {
  expect(readCompression(text, 'plain').method).toBe('none')
})
