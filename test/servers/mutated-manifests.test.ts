import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import { requireDebianPostgres } from '../helpers/requires.js'
import { createScratchDirectory } from '../helpers/scratch-directory.js'
import { fileEntry, manifestBody, manifestText, rangeEntry, withChecksum } from '../manifest/manifest-text.js'
import { refusal } from '../manifest/parse-bytes.js'

/** The pieces of a good manifest: every token, and the white space between. */
const pieces: readonly string[] =
  manifestBody({
    files: [fileEntry, '{ "Encoded-Path": "66", "Size": 0 }'],
    ranges: [rangeEntry.replace(': 1,', ': 2,'), rangeEntry],
  }).match(/"[^"]*"|[0-9]+|[^\s"0-9]|\s+/g) ?? []

/** What may stand in the place of a piece, or before it. */
const others: readonly string[] = [
  ...new Set(pieces),
  ..."{ } [ ] 0 -1 1.5 1e1 01 null true False ' \\ /**/".split(' '),
  ...String.raw`"" "0/0" "1" "x" "NONE" "sha256" "00" "0" "\u0000" "\ud800"`.split(' '),
  '"a\tb"',
  '',
  '\u00a0',
  '\0',
]

const mutation = fc.record({
  at: fc.nat(pieces.length - 1),
  removed: fc.constantFrom(0, 1, 1, 1, 2, 4),
  inserted: fc.array(fc.constantFrom(...others), { maxLength: 2 }),
})

const mutant = fc.array(mutation, { minLength: 1, maxLength: 2 }).map((mutations) => {
  const text = [...pieces]
  for (const { at, removed, inserted } of mutations) text.splice(at, removed, ...inserted)
  return withChecksum(text.join(''))
})

/** How pg_verifybackup begins when it is the manifest that it does not like, and not the backup. */
const manifestErrors =
  /^pg_verifybackup: error: (?:could not parse backup manifest|unrecognized checksum algorithm|invalid checksum for file|duplicate path name|invalid manifest checksum|manifest checksum mismatch)/

test('what pg_verifybackup refuses is refused, however a manifest is garbled', async (context) => {
  const programs = requireDebianPostgres(context)
  const scratch = createScratchDirectory()
  onTestFinished(() => scratch.remove())
  const directory = join(scratch.path, 'data')
  mkdirSync(directory)
  writeFileSync(join(directory, 'PG_VERSION'), '15\n')
  expect(refusal(manifestText())).toMatchObject({ version: 1 })

  await fc.assert(
    fc.asyncProperty(mutant, async (bytes) => {
      writeFileSync(join(directory, 'backup_manifest'), bytes)
      const { stderr } = await pgVerifyBackup(programs, ['--no-parse-wal', '--skip-checksums', directory])
      // It finds a pathname that stands twice only when it has the whole list; our parser leaves that to its caller.
      fc.pre(manifestErrors.test(stderr) && !stderr.includes('duplicate path name'))
      expect(refusal(bytes), `${stderr}${bytes.toString()}`).toEqual(expect.stringMatching(/^BAD_MANIFEST: /))
    }),
    { numRuns: 300 },
  )
})
