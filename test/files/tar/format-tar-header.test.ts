import { expect, test } from 'vitest'
import { formatTarHeader, parseTarHeader, type MemberHeader } from '../../../src/files/tar/tar-header.js'

const member: MemberHeader = {
  name: 'base/5/1259',
  kind: 'file',
  size: 114_688,
  mode: 0o640,
  modified: 1_764_300_000,
  owner: { uid: 0o4000, gid: 0o2000 },
}

/** Compared with what servers write by `tar-backup.test.ts`. */
test('is the header that PostgreSQL makes', () => {
  const header = formatTarHeader(member)
  expect(header.toString('latin1').replaceAll('\0', '.')).toBe(
    `base/5/1259${'.'.repeat(89)}0000640 0004000 0002000 00000340000 15112212340 0014551 0${'.'.repeat(100)}` +
      `ustar.00postgres${'.'.repeat(24)}postgres${'.'.repeat(24)}0000000 0000000 ${'.'.repeat(167)}`,
  )
})

test.each([
  ['a file', member],
  ['an empty one', { ...member, size: 0 }],
  ['one of 8 GiB', { ...member, size: 8 * 1024 ** 3 }],
  ['the largest one in octal', { ...member, size: 8 * 1024 ** 3 - 1 }],
  ['one of many terabytes', { ...member, size: 2 ** 50 + 1 }],
  ['a name that is not UTF-8', { ...member, name: 'base/caf\udce9' }],
  ['the longest name', { ...member, name: 'x'.repeat(99) }],
])('%s is read as it was written', (_what, written) => {
  expect(parseTarHeader(formatTarHeader(written))).toMatchObject({
    size: written.size,
    modified: written.modified,
    typeflag: '0',
  })
})

test('a directory has a slash at its end', () => {
  const header = formatTarHeader({ ...member, kind: 'directory', size: 0, name: 'x'.repeat(99) })
  expect(parseTarHeader(header)).toMatchObject({ name: Buffer.from(`${'x'.repeat(99)}/`), typeflag: '5' })
})

test.each(['file', 'directory'] as const)('a name of 100 bytes is too long, of a %s', (kind) => {
  expect(() => formatTarHeader({ ...member, kind, name: 'é'.repeat(50) })).toThrow(
    expect.objectContaining({
      code: 'IO',
      message: `file name too long for tar format: "${'é'.repeat(50)}"`,
    }),
  )
})
