import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  formatListSeparator,
  formatManifestChecksum,
  formatManifestFile,
  formatManifestHeader,
  formatWalRanges,
} from '../../../src/manifest/format-manifest.js'
import { sortedManifest } from '../../../src/transfer/session/sorted-manifest.js'
import { parseBytes } from '../../manifest/parse-bytes.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()

function manifestOf(pathnames: readonly string[]): string {
  const lines = pathnames.map((pathname, index) => {
    const file = { pathname, size: pathname.length, lastModified: '2026-01-02 03:04:05 GMT' }
    return (
      formatListSeparator(index === 0) +
      formatManifestFile({ ...file, checksum: undefined, isPathEncoded: false })
    )
  })
  const body =
    formatManifestHeader({ version: 2, systemIdentifier: 7_711_113_546_893_945_671n }) +
    lines.join('') +
    formatWalRanges([{ timeline: 1, startLsn: 40n, endLsn: 80n }], 1)
  return body + formatManifestChecksum(createHash('sha256').update(body).digest('hex'))
}

function sort(manifest: string): string {
  const path = join(scratch.path, 'backup_manifest')
  writeFileSync(path, manifest)
  return Buffer.concat([...sortedManifest(path)]).toString()
}

const tricky = ['a', 'a b', 'a/b', 'a"', 'é', '\n],\n"WAL-Ranges"', '\udcff', '\\', 'B', '"Files": [\n']

test.each([
  ['no file', []],
  ['one file', ['PG_VERSION']],
  ['names of all kinds', tricky],
  ['more than a piece', Array.from({ length: 5000 }, (_, index) => `base/5/${index}`)],
])('is the same for any order of %s, with a checksum that fits', (_, pathnames) => {
  const sorted = sort(manifestOf(pathnames))
  expect(sort(manifestOf(pathnames.toReversed()))).toBe(sorted)
  expect(sort(sorted)).toBe(sorted)
  const parsed = parseBytes(Buffer.from(sorted))
  expect(parsed.files.map((file) => file.pathname).toSorted()).toEqual(pathnames.toSorted())
  // In that order it is what the formatter would have written.
  expect(manifestOf(parsed.files.map((file) => file.pathname))).toBe(sorted)
})
