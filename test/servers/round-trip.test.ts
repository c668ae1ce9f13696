import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { mergeFragments } from '../../src/manifest/merge/merge-fragments.js'
import type { BackupManifest } from '../../src/manifest/model.js'
import { embeddedPostgres } from '../helpers/postgres-programs.js'
import { requireDebianPostgres } from '../helpers/requires.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'
import { parseBytes } from '../manifest/parse-bytes.js'
import { splitManifest } from '../manifest/split-manifest.js'
import { writeManifest } from '../manifest/write-manifest.js'
import { goldensOf15, goldensOf18, type ManifestGolden } from './manifest-goldens.js'

const timeout = 240_000

let count = 0

/** Splits a manifest among workers and merges the fragments in the order given. */
async function splitAndMerge(
  directory: string,
  manifest: BackupManifest,
  order: readonly number[],
  cuts: readonly number[] = [],
): Promise<Buffer> {
  const own = join(directory, `merge${count++}`)
  mkdirSync(own)
  const parts = await splitManifest(manifest, own, order.length, cuts)
  const { systemIdentifier, walRanges } = manifest
  await mergeFragments({
    fragments: order.flatMap((worker) => parts[worker] ?? []),
    output: join(own, 'merged'),
    walRanges,
    ...(systemIdentifier === undefined ? {} : { systemIdentifier }),
  })
  return readFileSync(join(own, 'merged'))
}

const arbitrarySplit = fc.integer({ min: 1, max: 7 }).chain((workers) =>
  fc.record({
    order: fc.shuffledSubarray([...Array(workers).keys()], { minLength: workers, maxLength: workers }),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
      minLength: workers - 1,
      maxLength: workers - 1,
    }),
  }),
)

/**
 * Takes each manifest apart and puts it together in every way.
 *
 * @returns the names of the manifests that came through
 */
async function roundTrips(goldens: AsyncIterable<ManifestGolden>): Promise<string[]> {
  const scratch = createScratchDirectory()
  onTestFinished(() => scratch.remove())
  const names: string[] = []
  for await (const { name, bytes } of goldens) {
    const manifest = parseBytes(bytes)
    expect(parseBytes(bytes, 1000), `${name}, read`).toEqual(manifest)
    expect((await writeManifest(scratch.path, manifest)).equals(bytes), `${name}, written`).toBe(true)
    for (const order of [[0], [1, 0], [3, 0, 6, 1, 5, 2, 4]]) {
      const merged = await splitAndMerge(scratch.path, manifest, order)
      expect(merged.equals(bytes), `${name}, ${order.length} fragments`).toBe(true)
    }
    await fc.assert(
      fc.asyncProperty(arbitrarySplit, async ({ order, cuts }) => {
        const merged = await splitAndMerge(scratch.path, manifest, order, cuts)
        expect(merged.equals(bytes), `${name}, cut at ${cuts.join(' ')}`).toBe(true)
      }),
      { numRuns: 3 },
    )
    names.push(name)
  }
  return names
}

const algorithms = ['CRC32C', 'SHA224', 'SHA256', 'SHA384', 'SHA512', 'NONE']

test(
  'what PostgreSQL 15 wrote is written again, and merged of any fragments, byte by byte',
  { timeout },
  async (context) => {
    const kinds = ['tablespaces and odd names', 'two timelines', ...algorithms, 'force-encode', 'WAL fetched']
    expect(await roundTrips(goldensOf15(requireDebianPostgres(context)))).toEqual(
      kinds.map((kind) => `PostgreSQL 15, ${kind}`),
    )
  },
)

test(
  'what PostgreSQL 18 wrote is written again, and merged of any fragments, byte by byte',
  { timeout },
  async () => {
    expect(await roundTrips(goldensOf18(await embeddedPostgres()))).toEqual(
      [...algorithms, 'force-encode', 'incremental'].map((kind) => `PostgreSQL 18, ${kind}`),
    )
  },
)
