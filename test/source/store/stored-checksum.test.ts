import { expect, test } from 'vitest'
import { mayKeepChecksum, storedChecksum } from '../../../src/source/store/stored-checksum.js'

// What AWS and Google have in their documentation of it, and three bytes ("15" and a line feed) by another program.
const sha256 = 'YhNJa5tCk0BdNhrZjIsMrLyMvO9b7MxnkoW2GrIP9aQ='

test.each([
  [{ 'x-amz-checksum-crc32c': 'IkdzAw==', 'x-amz-checksum-type': 'FULL_OBJECT' }, 'CRC32C', '22477303'],
  [{ 'x-amz-checksum-crc32c': 'IkdzAw==', etag: '"d41d8cd98f00b204e9800998ecf8427e"' }, 'CRC32C', '22477303'],
  [
    { 'x-amz-checksum-crc32c': 'IkdzAw==', 'x-amz-checksum-type': 'FULL_OBJECT', etag: '"ab-3"' },
    'CRC32C',
    '22477303',
  ],
  [{ 'x-amz-checksum-sha256': sha256 }, 'SHA256', Buffer.from(sha256, 'base64').toString('hex')],
  [{ 'x-goog-hash': 'crc32c=n03x6A==, md5=Ojk9c3dhfxgoKVVHYwFbHQ==' }, 'CRC32C', '9f4df1e8'],
  [{ 'x-goog-hash': 'md5=Ojk9c3dhfxgoKVVHYwFbHQ==,crc32c=n03x6A==' }, 'CRC32C', '9f4df1e8'],
] as const)('of %j, the %s is %s', (headers, algorithm, hex) => {
  expect(storedChecksum(headers, algorithm)?.toString('hex')).toBe(hex)
})

test.each([
  ['no checksum', {}, 'CRC32C'],
  ['one by another algorithm', { 'x-amz-checksum-crc32c': 'IkdzAw==' }, 'SHA256'],
  [
    'one of checksums of parts',
    { 'x-amz-checksum-crc32c': 'IkdzAw==', 'x-amz-checksum-type': 'COMPOSITE' },
    'CRC32C',
  ],
  ['one of checksums of parts, by how it is written', { 'x-amz-checksum-sha256': `${sha256}-3` }, 'SHA256'],
  [
    'one of an object in parts, and of nobody knows what',
    { 'x-amz-checksum-crc32c': 'IkdzAw==', etag: '"ab-3"' },
    'CRC32C',
  ],
  ['one that is cut off', { 'x-amz-checksum-crc32c': 'Ikdz' }, 'CRC32C'],
  ['one that is no base64', { 'x-amz-checksum-crc32c': '!IkdzAw==' }, 'CRC32C'],
  ['none by Google', { 'x-goog-hash': 'md5=Ojk9c3dhfxgoKVVHYwFbHQ==' }, 'CRC32C'],
] as const)('%s is no checksum of the whole object', (_what, headers, algorithm) => {
  expect(storedChecksum(headers, algorithm)).toBeUndefined()
})

test('what the listing says of checksums saves asking for them', () => {
  const listed = [
    undefined,
    'CRC32C FULL_OBJECT',
    'SHA256',
    'CRC64NVME FULL_OBJECT',
    'CRC32C COMPOSITE',
    'CRC32',
  ]
  expect(listed.map((words) => mayKeepChecksum(words, 'CRC32C'))).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ])
})
