import { createHash } from 'node:crypto'
import { appendFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodePathname } from '../../../src/files/pathname.js'
import { mergeFragments, mergeSorted } from '../../../src/manifest/merge/merge-fragments.js'
import type { MergeInput } from '../../../src/manifest/merge/merge-options.js'
import type { ManifestFile } from '../../../src/manifest/model.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'
import { arbitraryManifest } from '../arbitrary-manifest.js'
import { entry, fragmentBytes, writeFragmentFile } from '../fragment-text.js'
import { parseBytes } from '../parse-bytes.js'
import { splitManifest } from '../split-manifest.js'
import { useScratch } from '../use-scratch.js'

const scratch = useScratch()
const walRanges = [{ timeline: 1, startLsn: 0x2000028n, endLsn: 0x2000100n }]

async function sorted(input: Partial<MergeInput> & Pick<MergeInput, 'fragments'>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of mergeSorted({ walRanges, ...input })) {
    pieces.push(Buffer.from(piece))
    // Whoever has taken a piece is done with it.
    piece.fill(0)
  }
  return Buffer.concat(pieces)
}

/** The same by other means: what `mergeFragments` writes, with its lines sorted as text of one byte a character. */
async function sortedAfterwards(input: Pick<MergeInput, 'fragments'>): Promise<Buffer> {
  const output = join(scratch.path, 'merged')
  await mergeFragments({ walRanges, ...input, output })
  const text = readFileSync(output, 'latin1')
  rmSync(output)
  const start = text.indexOf('"Files": [') + '"Files": ['.length
  const end = text.lastIndexOf('\n],\n"WAL-Ranges"')
  const lines = text.slice(start, end).split(/,?\n/).slice(1).toSorted()
  const files = lines.map((line, index) => `${index === 0 ? '\n' : ',\n'}${line}`).join('')
  const rest = text.slice(end, text.lastIndexOf('"Manifest-Checksum"'))
  const body = Buffer.from(text.slice(0, start) + files + rest, 'latin1')
  const checksum = createHash('sha256').update(body).digest('hex')
  return Buffer.concat([body, Buffer.from(`"Manifest-Checksum": "${checksum}"}\n`)])
}

function fileOf(pathname: string): ManifestFile {
  const lastModified = '2026-01-02 03:04:05 GMT'
  return { pathname, size: pathname.length, lastModified, checksum: undefined, isPathEncoded: false }
}

const tricky = [
  'a',
  'a b',
  'a/b',
  'a"',
  'é',
  '\n],\n"WAL-Ranges"',
  '\udcff',
  '\\',
  'B',
  '"Files": [\n',
  '", "Size": 1',
]

describe('mergeSorted', () => {
  test.each([
    ['no file', []],
    ['one file', ['PG_VERSION']],
    ['names of all kinds', tricky],
    [
      'bytes that are not UTF-8',
      [[0xff], [0x61, 0xff], [0x62, 0xc3]].map((bytes) => decodePathname(Buffer.from(bytes))),
    ],
  ])('gives the manifest of %s, the same for any split', async (_, pathnames) => {
    const files = pathnames.map(fileOf)
    const three = await splitManifest({ files }, scratch.path, 3)
    const manifest = await sorted({ fragments: three })
    expect(manifest.equals(await sortedAfterwards({ fragments: three }))).toBe(true)
    expect(
      parseBytes(manifest)
        .files.map((file) => file.pathname)
        .toSorted(),
    ).toEqual(pathnames.toSorted())
    for (const path of three) rmSync(path)
    const two = await splitManifest({ files: files.toReversed() }, scratch.path, 2)
    expect(manifest.equals(await sorted({ fragments: two.toReversed() }))).toBe(true)
  })

  test('gives the bytes that sorting afterwards gives, for any files', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryManifest, fc.integer({ min: 1, max: 4 }), async (manifest, workers) => {
        const own = createScratchDirectory()
        const files = manifest.files.map((file) => ({ ...file, size: file.size % 2 ** 48 }))
        const fragments = await splitManifest({ files }, own.path, workers)
        const { systemIdentifier } = manifest
        const input = { fragments, ...(systemIdentifier !== undefined && { systemIdentifier }) }
        expect((await sorted(input)).equals(await sortedAfterwards(input))).toBe(true)
        own.remove()
      }),
      { numRuns: 50 },
    )
  })

  test('reads the fragments twice when there are many files', async () => {
    // More than 4 MB, and less than what makes `mergeFragments` start a thread.
    const files = Array.from({ length: 60_000 }, (_, index) =>
      fileOf(`base/${(index * 7919) % 60_000}_${index % 10}`),
    )
    files.push(...tricky.map(fileOf))
    const fragments = await splitManifest({ files }, scratch.path, 3)
    expect((await sorted({ fragments })).equals(await sortedAfterwards({ fragments }))).toBe(true)
    expect(readdirSync(scratch.path)).toHaveLength(3)
  })

  test('gives nothing out when a fragment cannot be used, and names it', async () => {
    const good = writeFragmentFile(scratch.path, { worker: 0, lines: [entry('a')] })
    const bad = join(scratch.path, 'bad')
    writeFileSync(
      bad,
      fragmentBytes({ worker: 1, lines: [entry('b')] })
        .toString()
        .replace('"b"', '"c"'),
    )
    await expect(mergeSorted({ walRanges, fragments: [good, bad] }).next()).rejects.toMatchObject({
      code: 'BAD_FRAGMENT',
      message: `could not merge fragments: fragment "${bad}" is damaged: fragment checksum mismatch`,
    })
    await expect(mergeSorted({ walRanges, fragments: [good], workers: 2 }).next()).rejects.toMatchObject({
      code: 'CANNOT_MERGE',
      message: 'could not merge fragments: the fragment of worker 1 is missing',
    })
    const twice = writeFragmentFile(scratch.path, { worker: 1, lines: [entry('a')] })
    await expect(mergeSorted({ walRanges, fragments: [good, twice] }).next()).rejects.toMatchObject({
      code: 'CANNOT_MERGE',
      message: `could not merge fragments: "a" is recorded in "${good}" and "${twice}", with the same checksum`,
    })
  })

  test.each<[string, (path: string) => void, string, string]>([
    ['cut', (path) => truncateSync(path, 40), 'BAD_FRAGMENT', 'was changed while it was merged'],
    ['emptied', (path) => truncateSync(path, 0), 'BAD_FRAGMENT', 'was changed while it was merged'],
    [
      'another one',
      (path) => writeFileSync(path, 'x\n'.repeat(500)),
      'BAD_FRAGMENT',
      'was changed while it was merged',
    ],
    ['gone', (path) => rmSync(path), 'IO', 'could not read file'],
  ])('fails when a fragment is %s after it was found good, and names it', async (_, change, code, words) => {
    const path = writeFragmentFile(scratch.path, { lines: [entry('a'), entry('b')] })
    const pieces = mergeSorted({ walRanges, fragments: [path] })
    await pieces.next()
    change(path)
    await expect(pieces.next()).rejects.toMatchObject({ code, message: expect.stringContaining(words) })
    await expect(pieces.next()).resolves.toMatchObject({ done: true })
  })

  test('names the fragment that has changed', async () => {
    const path = writeFragmentFile(scratch.path, { lines: [entry('a')] })
    const pieces = mergeSorted({ walRanges, fragments: [path] })
    await pieces.next()
    rmSync(path)
    await expect(pieces.next()).rejects.toMatchObject({
      message: `could not read file "${path}": No such file or directory`,
    })
  })

  test('does not mind what is behind the seal it has seen', async () => {
    const path = writeFragmentFile(scratch.path, { lines: [entry('a')] })
    const whole = await sorted({ fragments: [path] })
    const pieces = mergeSorted({ walRanges, fragments: [path] })
    const taken = [Buffer.from((await pieces.next()).value ?? '')]
    appendFileSync(path, 'more')
    for await (const piece of pieces) taken.push(Buffer.from(piece))
    expect(Buffer.concat(taken)).toEqual(whole)
  })

  test('stops when it is told to, before and in the middle', async () => {
    const files = Array.from({ length: 60_000 }, (_, index) => fileOf(`base/${index}`))
    const fragments = await splitManifest({ files }, scratch.path, 2)
    const ending = new AbortController()
    const pieces = mergeSorted({ walRanges, fragments, signal: ending.signal })
    await pieces.next()
    ending.abort()
    await expect(pieces.next()).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(
      mergeSorted({ walRanges, fragments, signal: AbortSignal.abort() }).next(),
    ).rejects.toMatchObject({ code: 'ABORTED' })
    // Whoever reads may go away.
    const left = mergeSorted({ walRanges, fragments })
    await left.next()
    await left.return()
    expect(readdirSync(scratch.path)).toHaveLength(2)
  })
})
