import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readManifest } from '../../src/manifest/read-manifest.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { arbitraryManifest } from './arbitrary-manifest.js'
import { fileEntry, manifestText } from './manifest-text.js'
import { parseBytes } from './parse-bytes.js'
import { goodManifests } from './refused-manifests.js'
import { writeManifest } from './write-manifest.js'

let scratch: ScratchDirectory

beforeAll(() => {
  scratch = createScratchDirectory()
})

afterAll(() => scratch.remove())

async function readBytes(bytes: Buffer): Promise<unknown> {
  const path = join(scratch.path, 'manifest')
  await writeFile(path, bytes)
  return await readManifest(path)
}

describe('a manifest that is written', () => {
  test('is read as what it was', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryManifest, async (manifest) => {
        const bytes = await writeManifest(scratch.path, manifest)
        const { checksum: _, ...read } = parseBytes(bytes)
        expect(read).toEqual(manifest)
        expect(await writeManifest(scratch.path, read)).toEqual(bytes)
      }),
      { numRuns: 100 },
    )
  })

  test('is read as what it was, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryManifest, fc.integer({ min: 1, max: 300 }), async (manifest, chunkBytes) => {
        const bytes = await writeManifest(scratch.path, manifest)
        expect(parseBytes(bytes, chunkBytes)).toEqual(parseBytes(bytes))
      }),
      { numRuns: 100 },
    )
  })

  test('is noticed when one bit of it is flipped', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryManifest, fc.maxSafeNat(), async (manifest, seed) => {
        const bytes = await writeManifest(scratch.path, manifest)
        const bit = seed % (8 * bytes.length)
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(() => parseBytes(bytes)).toThrow(expect.objectContaining({ code: 'BAD_MANIFEST' }))
      }),
      { numRuns: 300 },
    )
  })

  test.each(goodManifests.slice(0, 4))('has the bytes that a server writes: $name', async ({ bytes }) => {
    expect(await writeManifest(scratch.path, parseBytes(bytes))).toEqual(bytes)
  })
})

describe('readManifest', () => {
  test('reads the whole manifest', async () => {
    expect(await readBytes(manifestText())).toEqual(parseBytes(manifestText()))
  })

  test.each([
    ['twice in the same words', fileEntry, fileEntry],
    ['in text and in hexadecimal', fileEntry, '{ "Encoded-Path": "50475f56455253494f4e", "Size": 3 }'],
    ['with an escape', fileEntry, String.raw`{ "Path": "PG\u005fVERSION", "Size": 3 }`],
  ])('refuses a pathname that stands there %s', async (_, ...files) => {
    await expect(readBytes(manifestText({ files }))).rejects.toMatchObject({
      code: 'BAD_MANIFEST',
      message: `duplicate path name in backup manifest: "PG_VERSION" (in "${scratch.path}/manifest")`,
    })
  })

  test('refuses bytes that are not UTF-8 when they stand there raw and in hexadecimal', async () => {
    const [before, after] = manifestText({ files: ['@', '{ "Encoded-Path": "61ff", "Size": 3 }'] })
      .toString()
      .split('@')
    const raw = Buffer.from('{ "Path": "a\u00ff", "Size": 3 }', 'latin1')
    const bytes = Buffer.concat([Buffer.from(before ?? ''), raw, Buffer.from(after ?? '')])
    await expect(readBytes(bytes)).rejects.toMatchObject({
      message: expect.stringContaining(String.raw`duplicate path name in backup manifest: "a\xff"`),
    })
  })

  test('says the duplicate before the wrong checksum', async () => {
    const text = manifestText({ files: [fileEntry, fileEntry] }).toString()
    await expect(readBytes(Buffer.from(text.replace('0/2000028', '0/2000029')))).rejects.toMatchObject({
      message: expect.stringMatching(/^duplicate path name/),
    })
  })

  test.each([
    ['nothing', '/nowhere', 'No such file or directory'],
    ['a folder', '', 'it is not a regular file'],
  ])('refuses %s', async (_, path, why) => {
    await expect(readManifest(`${scratch.path}${path}`)).rejects.toMatchObject({
      code: 'IO',
      message: `could not open file "${scratch.path}${path}": ${why}`,
    })
  })

  test('stops when it is told to', async () => {
    const signal = AbortSignal.abort()
    await expect(readManifest(`${scratch.path}/manifest`, { signal })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })
})
