import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodePathname } from '../../../src/files/pathname.js'
import { FragmentWriter } from '../../../src/manifest/fragment/fragment-writer.js'
import { readFragment } from '../../../src/manifest/fragment/read-fragment.js'
import type { ManifestFile } from '../../../src/manifest/model.js'
import { arbitraryFiles } from '../arbitrary-manifest.js'
import { backupId, entry, fragmentBytes } from '../fragment-text.js'
import { useScratch } from '../use-scratch.js'
import { type FragmentItem, readItems } from './read-items.js'

const scratch = useScratch()

const versionFile: ManifestFile = {
  pathname: 'PG_VERSION',
  size: 3,
  lastModified: '2026-01-02 03:04:05 GMT',
  checksum: { algorithm: 'CRC32C', hex: '8a744722' },
  isPathEncoded: false,
}

async function write(path: string, files: readonly ManifestFile[], worker = 0): Promise<Buffer> {
  const writer = await FragmentWriter.create(path, backupId, worker)
  for (const file of files) await writer.append(file)
  await writer.seal()
  return readFileSync(path)
}

/** Reads a fragment that has these bytes. */
async function itemsOf(bytes: Buffer): Promise<FragmentItem[]> {
  const path = join(scratch.path, 'read')
  writeFileSync(path, bytes)
  return await readItems(path)
}

async function lastItem(bytes: Buffer): Promise<FragmentItem | undefined> {
  return (await itemsOf(bytes)).at(-1)
}

describe('a fragment that is written', () => {
  test('has a line for each file, and a seal', async () => {
    const path = join(scratch.path, 'f')
    const files = [versionFile, { ...versionFile, pathname: 'a"\udcff', isPathEncoded: true }]
    const bytes = await write(path, files, 12)
    const second = entry('').replace('"Path": ""', '"Encoded-Path": "6122ff"')
    expect(bytes.toString()).toBe(
      fragmentBytes({ worker: 12, lines: [entry('PG_VERSION'), second] }).toString(),
    )
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  test('without files has only the seal', async () => {
    const bytes = await write(join(scratch.path, 'f'), [])
    expect(bytes).toEqual(fragmentBytes())
    expect(await itemsOf(bytes)).toMatchObject([{ type: 'seal', seal: { files: 0, bytes: 0 } }])
  })

  test('is read as what it was', async () => {
    let count = 0
    await fc.assert(
      fc.asyncProperty(arbitraryFiles, fc.nat(), async (files, worker) => {
        // The sum of the sizes must be a safe integer.
        const sane = files.map((file) => ({ ...file, size: file.size % 2 ** 48 }))
        const items = await itemsOf(await write(join(scratch.path, `f${count++}`), sane, worker))
        const read = items.filter((item) => item.type === 'file')
        expect(read.map(({ file }) => file)).toEqual(sane)
        expect(read.map(({ pathname }) => decodePathname(pathname))).toEqual(
          sane.map(({ pathname }) => pathname),
        )
        expect(items.at(-1)).toMatchObject({
          type: 'seal',
          seal: {
            backupId,
            worker,
            files: sane.length,
            bytes: sane.reduce((sum, file) => sum + file.size, 0),
          },
        })
      }),
    )
  })

  test('of many files is written in pieces', async () => {
    const files = Array.from({ length: 3000 }, (_, index) => ({
      ...versionFile,
      pathname: `base/5/${index}`,
    }))
    const bytes = await write(join(scratch.path, 'f'), files)
    expect(bytes).toEqual(fragmentBytes({ lines: files.map((file) => entry(file.pathname)) }))
    expect(await itemsOf(bytes)).toHaveLength(3001)
  })

  test('is not written over another', async () => {
    const path = join(scratch.path, 'f')
    writeFileSync(path, 'precious')
    await expect(FragmentWriter.create(path, backupId, 0)).rejects.toMatchObject({
      code: 'IO',
      message: `could not create file "${path}": File exists`,
    })
    expect(readFileSync(path, 'utf8')).toBe('precious')
  })

  test('needs a directory', async () => {
    await expect(FragmentWriter.create(join(scratch.path, 'no/f'), backupId, 0)).rejects.toMatchObject({
      code: 'IO',
    })
  })

  test('is gone when it is discarded', async () => {
    const path = join(scratch.path, 'f')
    const writer = await FragmentWriter.create(path, backupId, 0)
    await writer.append(versionFile)
    await writer.discard()
    expect(existsSync(path)).toBe(false)
  })
})

describe('a damaged fragment is noticed', () => {
  const encoded = '{ "Encoded-Path": "66ff", "Size": 5, "Last-Modified": "2026-01-02 03:04:05 GMT" }'
  const bytes = fragmentBytes({ worker: 4, lines: [entry('PG_VERSION'), encoded] })
  const body = bytes.indexOf('{ "Fragment-Version"')

  test('wherever it is cut', async () => {
    for (let length = 0; length < bytes.length; length++) {
      const isBetweenLines = length === 0 || bytes[length - 1] === 0x0a
      expect(await lastItem(bytes.subarray(0, length)), `cut at ${length}`).toEqual({
        type: isBetweenLines ? 'unsealed' : 'truncated',
      })
    }
    expect(await lastItem(bytes)).toMatchObject({ type: 'seal' })
  })

  test('whichever bit of its files is flipped', async () => {
    for (let bit = 0; bit < 8 * body; bit++) {
      const type = (await lastItem(flip(bytes, bit)))?.type
      expect(type, `bit ${bit & 7} of byte ${bit >> 3}`).toBe('damaged')
    }
  })

  test('whichever bit of its seal is flipped, but for whose it is', async () => {
    const others = new Set<string>()
    for (let bit = 8 * body; bit < 8 * bytes.length; bit++) {
      const item = await lastItem(flip(bytes, bit))
      others.add(item?.type === 'seal' ? `${item.seal.backupId} ${item.seal.worker}` : 'noticed')
    }
    // What is another worker's or another backup's seal now is for the merge to notice.
    expect(others).toContain('noticed')
    expect(others).not.toContain(`${backupId} 4`)
    expect(others).toContain(`${backupId} 5`)
  })

  test('when a line is missing, doubled or moved', async () => {
    const [first = '', second = '', seal = ''] = bytes.toString().split(/(?<=\n)/)
    for (const lines of [
      [first, seal],
      [second, seal],
      [first, first, second, seal],
      [second, first, seal],
    ]) {
      expect(await lastItem(Buffer.from(lines.join('')))).toMatchObject({ type: 'damaged' })
    }
  })

  test.each([
    ['text', 'hello\n', 'line 1 is not a manifest file: it is not JSON'],
    ['a null', 'null\n', /^line 1 is not a manifest file: /],
    ['an array', '[]\n', /^line 1 is not a manifest file: /],
    ['an empty line', `${entry('f')}\n\n`, 'line 2 is not a manifest file: it is not JSON'],
    ['CRLF', `${entry('f')}\r\n`, 'line 1 is not a manifest file: it is not written as PostgreSQL writes it'],
    ['a comma', `${entry('f')},\n`, 'line 1 is not a manifest file: it is not JSON'],
    ['more space', `${entry('f').replace('{ ', '{  ')}\n`, /it is not written as PostgreSQL writes it/],
    [
      'keys in another order',
      '{ "Size": 3, "Path": "f", "Last-Modified": "2026-01-02 03:04:05 GMT" }\n',
      /it is not written as/,
    ],
    ['a key twice', `${entry('f').replace('{ ', '{ "Size": 3, ')}\n`, /it is not written as/],
    [
      'an unknown key',
      `${entry('f').replace('{ ', '{ "Mode": 3, ')}\n`,
      /line 1 is not a manifest file: .*"Mode"/,
    ],
    ['needless escapes', `${entry(String.raw`\u0066`)}\n`, /it is not written as/],
    ['an upper-case checksum', `${entry('f', '8A744722')}\n`, /^line 1 is not a manifest file: "Checksum"/],
    ['a long checksum', `${entry('f', '8a74472200')}\n`, /^line 1 is not a manifest file: "Checksum"/],
    ['a negative size', `${entry('f').replace(': 3', ': -3')}\n`, /^line 1 is not a manifest file: "Size"/],
    [
      'an inexact size',
      `${entry('f').replace(': 3', ': 9007199254740993')}\n`,
      /^line 1 is not a manifest file: "Size"/,
    ],
    ['a pathname that climbs out', `${entry('base/../../f')}\n`, /^line 1 is not a manifest file: /],
    [
      'an encoded pathname that climbs out',
      `${entry('@').replace('"Path": "@"', '"Encoded-Path": "2e2e"')}\n`,
      'line 1 is not a manifest file: path name leaves the data directory',
    ],
    [
      'bytes that are not UTF-8',
      Buffer.from(`${entry('\u00ff')}\n`, 'latin1'),
      'line 1 is not a manifest file: it is not JSON',
    ],
    [
      'another version of the format',
      fragmentBytes().toString().replace(': 1,', ': 2,'),
      'its seal is not one',
    ],
    ['a line after the seal', `${fragmentBytes().toString()}${entry('f')}\n`, 'something follows its seal'],
    [
      'a second seal',
      `${fragmentBytes().toString()}${fragmentBytes().toString()}`,
      'something follows its seal',
    ],
    ['a byte after the seal', `${fragmentBytes().toString()} `, 'something follows its seal'],
    ['a long line', `${entry('x'.repeat(65_536))}\n`, 'line 1 is longer than 65536 bytes'],
    ['a long line without end', 'x'.repeat(600_000), 'line 1 is longer than 65536 bytes'],
  ])('with %s in it', async (_, content, reason) => {
    const item = await lastItem(Buffer.from(content))
    expect(item).toMatchObject({ type: 'damaged' })
    expect(item).toHaveProperty('reason', expect.stringMatching(reason))
  })
})

test.each([
  ['nothing', 'nowhere', /^could not read file ".*nowhere": No such file or directory$/],
  ['a folder', 'folder', /^could not open file ".*folder": it is not a regular file$/],
])('readFragment refuses %s', async (_, name, message) => {
  await mkdir(join(scratch.path, 'folder'))
  await expect(readFragment(join(scratch.path, name), { onLine: () => {} })).rejects.toThrow(
    expect.objectContaining({ code: 'IO', message: expect.stringMatching(message) }),
  )
})

function flip(bytes: Buffer, bit: number): Buffer {
  const flipped = Buffer.from(bytes)
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return flipped
}

describe('a fragment that was left to another writer', () => {
  const files = ['PG_VERSION', 'a', 'b'].map((pathname) => ({ ...versionFile, pathname }))

  async function leave(path: string): Promise<FragmentWriter> {
    const writer = await FragmentWriter.create(path, backupId, 1)
    for (const file of files) await writer.append(file)
    await writer.suspend()
    return writer
  }

  test.each([0, 1, 2, 3])('is as if only the first %i of its files had been written', async (kept) => {
    const path = join(scratch.path, 'f')
    const first = await leave(path)
    const writer = await FragmentWriter.continue(path, backupId, 1, kept)
    // Whoever had it before, and comes to life again, changes nothing.
    await first.append(versionFile)
    await expect(first.seal()).rejects.toMatchObject({})
    await writer.append({ ...versionFile, pathname: 'c' })
    await writer.seal()
    const expected = [...files.slice(0, kept), { ...versionFile, pathname: 'c' }]
    expect(readFileSync(path)).toEqual(await write(join(scratch.path, 'g'), expected, 1))
    expect(existsSync(`${path}.continued`)).toBe(false)
  })

  test('stays as it is when it has fewer files, or is sealed', async () => {
    const path = join(scratch.path, 'f')
    await leave(path)
    await expect(FragmentWriter.continue(path, backupId, 1, 4)).rejects.toMatchObject({
      code: 'BAD_FRAGMENT',
    })
    const sealed = await FragmentWriter.continue(path, backupId, 1, 3)
    await sealed.seal()
    const bytes = readFileSync(path)
    await expect(FragmentWriter.continue(path, backupId, 1, 3)).rejects.toMatchObject({
      code: 'BAD_FRAGMENT',
      message: `fragment "${path}" is sealed`,
    })
    expect(readFileSync(path)).toEqual(bytes)
    expect(existsSync(`${path}.continued`)).toBe(false)
  })
})
