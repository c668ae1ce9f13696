import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { diffManifests, listManifestFiles, summarizeManifest } from 'pbmanifest'
import { expect, test } from 'vitest'
import { decodePathname, encodePathname } from '../../src/files/pathname.js'
import {
  formatDiffAsJson,
  formatFileListAsJson,
  formatOverviewAsJson,
} from '../../src/inspect/format-as-json.js'
import type { ManifestFile } from '../../src/manifest/model.js'
import { type SchemaName, validatorOf } from '../../src/schemas/validator.js'
import { arbitraryFiles, arbitraryManifest } from '../manifest/arbitrary-manifest.js'
import { useScratch } from '../manifest/use-scratch.js'
import { writeManifest } from '../manifest/write-manifest.js'

const scratch = useScratch()

/** The sizes of a real cluster's files can be added up. */
function withSmallSizes<Manifest extends { readonly files: readonly ManifestFile[] }>(
  manifest: Manifest,
): Manifest {
  return { ...manifest, files: manifest.files.map((file) => ({ ...file, size: file.size % 2 ** 40 })) }
}

const manifests = arbitraryManifest.map(withSmallSizes)

async function write(name: string, manifest: Parameters<typeof writeManifest>[1]): Promise<string> {
  const path = join(scratch.path, name)
  writeFileSync(path, await writeManifest(scratch.path, manifest))
  return path
}

function entryOf({ pathname, size, lastModified, checksum }: ManifestFile): object {
  return { pathname, size, lastModified, checksum }
}

function parse(schema: SchemaName, text: string): Record<string, unknown> {
  const document = JSON.parse(text) as Record<string, unknown>
  expect(validatorOf(schema)(document)).toBe(undefined)
  return document
}

function byBytes(one: string, other: string): number {
  return encodePathname(one).compare(encodePathname(other))
}

test('what is listed is what the manifest has, in each order', async () => {
  await fc.assert(
    fc.asyncProperty(manifests, async (manifest) => {
      const path = await write('any', manifest)
      const entries = manifest.files.map(entryOf)
      expect([...(await listManifestFiles(path, { order: 'none' }))]).toEqual(entries)
      const byName = manifest.files.toSorted((one, other) => byBytes(one.pathname, other.pathname))
      expect([...(await listManifestFiles(path))]).toEqual(byName.map(entryOf))
      const bySize = byName.toSorted((one, other) => other.size - one.size)
      expect([...(await listManifestFiles(path, { order: 'size' }))]).toEqual(bySize.map(entryOf))
      const byTime = byName.toSorted((one, other) => {
        const [first = '', second = ''] = [one.lastModified, other.lastModified]
        return first === second ? 0 : first < second ? 1 : -1
      })
      expect([...(await listManifestFiles(path, { order: 'time', isReversed: true }))]).toEqual(
        byTime.toReversed().map(entryOf),
      )
    }),
    { numRuns: 40 },
  )
})

test('the JSON of a list has every name', async () => {
  await fc.assert(
    fc.asyncProperty(manifests, async (manifest) => {
      const list = await listManifestFiles(await write('any', manifest), { order: 'none' })
      const { files } = parse('manifest-file-list', [...formatFileListAsJson(list)].join(''))
      const names = (files as { path?: string; encodedPath?: string }[]).map(
        ({ path, encodedPath }) => path ?? decodePathname(Buffer.from(encodedPath ?? '', 'hex')),
      )
      expect(names).toEqual(manifest.files.map(({ pathname }) => pathname))
    }),
    { numRuns: 40 },
  )
})

function sum(counts: readonly { files: number; bytes: number }[]): object {
  return {
    files: counts.reduce((total, count) => total + count.files, 0),
    bytes: counts.reduce((total, count) => total + count.bytes, 0),
  }
}

test('an overview counts every file once in each view', async () => {
  await fc.assert(
    fc.asyncProperty(manifests, async (manifest) => {
      const overview = await summarizeManifest(await write('any', manifest), { largest: 3 })
      const { files } = manifest
      const all = { files: files.length, bytes: files.reduce((total, { size }) => total + size, 0) }
      expect({ files: overview.files, bytes: overview.bytes }).toEqual(all)
      expect(sum(overview.checksumAlgorithms)).toEqual(all)
      expect(sum([...overview.forks, overview.notOfRelations])).toEqual(all)
      const sizes = files.map(({ size }) => size).toSorted((one, other) => other - one)
      expect(overview.largestFiles.map(({ size }) => size)).toEqual(sizes.slice(0, 3))
      expect(overview.walRanges).toEqual(manifest.walRanges)
      parse('manifest-overview', formatOverviewAsJson(overview))
    }),
    { numRuns: 40 },
  )
})

test('a difference is found exactly where there is one', async () => {
  await fc.assert(
    fc.asyncProperty(manifests, arbitraryFiles, async (manifest, more) => {
      const own = new Set(manifest.files.map(({ pathname }) => pathname))
      const added = withSmallSizes({ files: more }).files.filter(({ pathname }) => !own.has(pathname))
      const [removed, grown, ...rest] = manifest.files
      const after = [...added, ...rest, ...(grown === undefined ? [] : [{ ...grown, size: grown.size + 1 }])]
      const old = await write('old', manifest)
      const diff = await diffManifests(old, await write('new', { ...manifest, files: after }))
      const found = [...diff.differences].filter(({ kind }) => kind !== 'not-compared')
      const expected = [
        ...added.map(({ pathname }) => ({ kind: 'added', pathname })),
        ...(removed === undefined ? [] : [{ kind: 'removed', pathname: removed.pathname }]),
        ...(grown === undefined ? [] : [{ kind: 'grown', pathname: grown.pathname }]),
      ]
      expect(found.map(({ kind, pathname }) => ({ kind, pathname }))).toEqual(
        expected.toSorted((one, other) => byBytes(one.pathname, other.pathname)),
      )
      const isDifferent = expected.length > 0
      expect(diff.verdict).toBe(
        isDifferent ? 'different' : diff.counts['not-compared'].files > 0 ? 'not-compared' : 'same',
      )
      parse('manifest-diff', [...formatDiffAsJson(diff)].join(''))
      expect(await diffManifests(old, old)).toMatchObject({
        verdict: 'same',
        sameFiles: manifest.files.length,
      })
    }),
    { numRuns: 40 },
  )
})
