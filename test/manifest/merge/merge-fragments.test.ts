import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mergeFragments } from '../../../src/manifest/merge/merge-fragments.js'
import type { MergeOptions } from '../../../src/manifest/merge/merge-options.js'
import type { WalRange } from '../../../src/manifest/model.js'
import { controlFileBytes } from '../../postgres/control-file-bytes.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'
import { arbitraryManifest } from '../arbitrary-manifest.js'
import { backupId, entry, fragmentBytes, type FragmentParts, writeFragmentFile } from '../fragment-text.js'
import { manifestBody, manifestText } from '../manifest-text.js'
import { parseBytes } from '../parse-bytes.js'
import { splitManifest } from '../split-manifest.js'
import { useScratch } from '../use-scratch.js'
import { writeManifest } from '../write-manifest.js'

const scratch = useScratch()
const walRanges = [{ timeline: 1, startLsn: 0x2000028n, endLsn: 0x2000100n }]
const otherId = 'f'.repeat(32)

function fragment(parts: FragmentParts = {}): string {
  return writeFragmentFile(scratch.path, parts)
}

function output(): string {
  return join(scratch.path, 'backup_manifest')
}

function merge(
  fragments: readonly string[],
  options: Partial<MergeOptions> = {},
): ReturnType<typeof mergeFragments> {
  return mergeFragments({ fragments, output: output(), walRanges, ...options })
}

/** Merges in vain, and makes sure that this leaves no trace. */
async function refusal(fragments: readonly string[], options: Partial<MergeOptions> = {}): Promise<unknown> {
  const before = readdirSync(scratch.path)
  const error: unknown = await merge(fragments, options).then(
    () => 'merged',
    (reason: unknown) => reason,
  )
  expect(readdirSync(scratch.path)).toEqual(before)
  return error
}

function at(timeline: number, startLsn: bigint, endLsn: bigint): WalRange {
  return { timeline, startLsn, endLsn }
}

describe('mergeFragments', () => {
  test('writes the manifest of all fragments', async () => {
    const fragments = [
      fragment({ worker: 0, lines: [entry('PG_VERSION')] }),
      fragment({ worker: 1, lines: [entry('base/1/1'), entry('base/1/2')] }),
    ]
    const result = await merge(fragments)
    const expected = manifestText({
      files: ['PG_VERSION', 'base/1/1', 'base/1/2'].map((name) => entry(name)),
    })
    expect(readFileSync(output(), 'utf8')).toBe(expected.toString())
    expect(result).toEqual({
      version: 1,
      systemIdentifier: undefined,
      files: 3,
      bytes: 9,
      walRanges,
      checksum: parseBytes(expected).checksum,
      warnings: [],
    })
    expect(statSync(output()).mode & 0o777).toBe(0o600)
  })

  test('writes version 2 when it is given a system identifier', async () => {
    await merge([fragment()], { systemIdentifier: 2n ** 64n - 1n })
    expect(parseBytes(readFileSync(output()))).toMatchObject({ version: 2, systemIdentifier: 2n ** 64n - 1n })
  })

  test.each([
    [13, 1, '0/2000028'],
    [18, 2, '0/2000028'],
    [19, 2, '0/02000028'],
  ])('writes what a server of version %d writes', async (serverVersion, version, startLsn) => {
    await merge([fragment()], { serverVersion, ...(version === 2 && { systemIdentifier: 5n }) })
    const text = readFileSync(output(), 'utf8')
    expect(text).toContain(`"Start-LSN": "${startLsn}", `)
    expect(parseBytes(Buffer.from(text))).toMatchObject({ version, walRanges })
  })

  test.each([
    [1800, '0/2000100'],
    [1903, '0/02000100'],
    [1905, '0/02000100'],
  ])('learns from a control file of version %d how LSNs are written', async (controlVersion, endLsn) => {
    mkdirSync(join(scratch.path, 'data', 'global'), { recursive: true })
    writeFileSync(join(scratch.path, 'data', 'global', 'pg_control'), controlFileBytes(controlVersion))
    await merge([fragment()], { pgdata: join(scratch.path, 'data') })
    expect(readFileSync(output(), 'utf8')).toContain(`"End-LSN": "${endLsn}" `)
    const refused = await refusal([fragment()], { pgdata: join(scratch.path, 'data'), serverVersion: 17 })
    expect(refused).toMatchObject({
      code: 'CANNOT_MERGE',
      message:
        'could not merge fragments: server version 17 was given, but the control file is of another version',
    })
  })

  test('gives the same bytes for any split in any order', async () => {
    const plan = arbitraryManifest.chain((manifest) =>
      fc.integer({ min: 1, max: 9 }).chain((workers) =>
        fc.record({
          manifest: fc.constant(manifest),
          cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
            minLength: workers - 1,
            maxLength: workers - 1,
          }),
          order: fc.shuffledSubarray([...Array(workers).keys()], { minLength: workers, maxLength: workers }),
        }),
      ),
    )
    await fc.assert(
      fc.asyncProperty(plan, async ({ manifest, cuts, order }) => {
        const own = createScratchDirectory()
        // What is not about the files has its own tests; the sum of the sizes must be a safe integer.
        const files = manifest.files.map((file) => ({ ...file, size: file.size % 2 ** 48 }))
        const expected = await writeManifest(own.path, { ...manifest, files, walRanges })
        const parts = await splitManifest({ files }, own.path, order.length, cuts)
        await mergeFragments({
          fragments: order.flatMap((worker) => parts[worker] ?? []),
          output: join(own.path, 'merged'),
          walRanges,
          ...(manifest.systemIdentifier === undefined ? {} : { systemIdentifier: manifest.systemIdentifier }),
        })
        expect(readFileSync(join(own.path, 'merged')).equals(expected)).toBe(true)
        own.remove()
      }),
      { numRuns: 30 },
    )
  })

  test('writes WAL ranges newest timeline first', async () => {
    const older = { timeline: 1, startLsn: 0xaf00028n, endLsn: 0xb0007f8n }
    const newer = { timeline: 2, startLsn: 0xb0007f8n, endLsn: 0xb402150n }
    await merge([fragment()], { walRanges: [older, newer] })
    expect(parseBytes(readFileSync(output())).walRanges).toEqual([newer, older])
  })

  test('works WAL ranges out with the help of a history file', async () => {
    writeFileSync(join(scratch.path, '00000002.history'), '1\t0/B0007F8\tno recovery target specified\n')
    const fragments = [fragment()]
    const positions = { startLsn: 0xaf00028n, startTimeline: 1, endLsn: 0xb402150n, endTimeline: 2 }
    await mergeFragments({ fragments, output: output(), ...positions, historyDirectory: scratch.path })
    expect(parseBytes(readFileSync(output())).walRanges).toEqual([
      { timeline: 2, startLsn: 0xb0007f8n, endLsn: 0xb402150n },
      { timeline: 1, startLsn: 0xaf00028n, endLsn: 0xb0007f8n },
    ])
  })

  test('replaces a manifest, also behind a link', async () => {
    writeFileSync(join(scratch.path, 'old'), 'old')
    symlinkSync('old', output())
    await merge([fragment({ lines: [entry('PG_VERSION')] })])
    expect(readFileSync(join(scratch.path, 'old'))).toEqual(manifestText())
    expect(readdirSync(scratch.path)).toHaveLength(3)
  })

  test('takes whole lines of unsealed and truncated fragments when it may', async () => {
    const unsealed = join(scratch.path, `backup_manifest_${backupId}.0`)
    const truncated = join(scratch.path, `backup_manifest_${backupId}.1`)
    writeFileSync(unsealed, `${entry('a')}\n`)
    writeFileSync(truncated, `${entry('b')}\n${entry('c').slice(0, 50)}`)
    const result = await merge([unsealed, truncated], { allowUnsealed: true })
    expect(result.warnings).toEqual([
      `fragment "${unsealed}" has no seal; took the 1 files that it records whole`,
      `fragment "${truncated}" is truncated; took the 1 files that it records whole`,
    ])
    expect(parseBytes(readFileSync(output())).files.map((file) => file.pathname)).toEqual(['a', 'b'])
  })
})

describe('a fragment that cannot be used', () => {
  test.each([
    ['is cut in a line', -10, 'CANNOT_MERGE', 'is truncated: it ends in the middle of a line'],
    ['has lost its seal', -1, 'CANNOT_MERGE', 'has no seal: its worker did not finish'],
    ['is changed', 30, 'BAD_FRAGMENT', 'is damaged: fragment checksum mismatch'],
  ])('%s', async (_, at, code, why) => {
    const good = fragment({ worker: 0 })
    const bad = fragment({ worker: 1, lines: [entry('name'), entry('other')] })
    const text = readFileSync(bad, 'utf8')
    if (at > 0) writeFileSync(bad, text.replace('"name"', '"Name"'))
    else truncateSync(bad, at === -1 ? text.indexOf('{ "Fragment') : text.length + at)
    expect(await refusal([good, bad])).toMatchObject({
      code,
      message: `could not merge fragments: fragment "${bad}" ${why}`,
    })
  })

  test('is no fragment at all', async () => {
    const stranger = join(scratch.path, 'stranger')
    writeFileSync(stranger, '{}\n')
    expect(await refusal([fragment(), stranger])).toMatchObject({
      code: 'BAD_FRAGMENT',
      message: expect.stringContaining(`fragment "${stranger}" is damaged: line 1 is not a manifest file: `),
    })
  })

  test('is empty and has any name', async () => {
    const empty = join(scratch.path, 'empty')
    writeFileSync(empty, '')
    expect(await refusal([fragment(), empty])).toMatchObject({
      code: 'CANNOT_MERGE',
      message: `could not merge fragments: fragment "${empty}" has no seal: its worker did not finish`,
    })
    expect(await refusal([fragment(), empty], { allowUnsealed: true })).toMatchObject({
      code: 'CANNOT_MERGE',
    })
  })

  test('is damaged, and nothing salvages that', async () => {
    const bad = fragment({ lines: [entry('name')] })
    appendFileSync(bad, 'more')
    expect(await refusal([bad], { allowUnsealed: true })).toMatchObject({ code: 'BAD_FRAGMENT' })
  })

  test.each([
    ['missing', 'No such file or directory'],
    ['folder', 'it is not a regular file'],
  ])('is %s', async (name, why) => {
    const path = join(scratch.path, name)
    mkdirSync(join(scratch.path, 'folder'))
    expect(await refusal([fragment(), path])).toMatchObject({
      code: 'IO',
      message: `could not open file "${path}": ${why}`,
    })
  })

  test('has one bit flipped, in any byte', async () => {
    const path = fragment({ lines: [entry('PG_VERSION')] })
    const bytes = readFileSync(path)
    for (let at = 0; at < bytes.length; at++) {
      const good = bytes.readUInt8(at)
      bytes.writeUInt8(good ^ (1 << (at & 7)), at)
      writeFileSync(path, bytes)
      const error: unknown = await merge([path]).catch((reason: unknown) => reason)
      expect(error, `bit ${at & 7} of byte ${at}`).toMatchObject({
        code: expect.stringMatching(/^BAD_FRAGMENT$|^CANNOT_MERGE$/),
      })
      bytes.writeUInt8(good, at)
    }
    expect(readdirSync(scratch.path)).toHaveLength(1)
    writeFileSync(path, bytes)
    expect(await merge([path])).toMatchObject({ files: 1 })
  })
})

describe('fragments that do not fit together', () => {
  test('are of two backups', async () => {
    const own = fragment({ worker: 0 })
    const foreign = fragment({ worker: 1, backupId: otherId })
    expect(await refusal([own, foreign])).toMatchObject({
      code: 'CANNOT_MERGE',
      details: [`backup ${backupId} is that of "${own}"`, `backup ${otherId} is that of "${foreign}"`],
    })
  })

  test('have a name that their seal does not confirm', async () => {
    const path = join(scratch.path, `backup_manifest_${backupId}.1`)
    writeFileSync(path, fragmentBytes())
    expect(await refusal([path])).toMatchObject({
      code: 'CANNOT_MERGE',
      message: `could not merge fragments: "${path}" does not have the name of what its seal says: worker 0 of backup ${backupId}`,
    })
  })

  test('may have any other name', async () => {
    const path = join(scratch.path, 'part one')
    writeFileSync(path, fragmentBytes())
    expect(await merge([path])).toMatchObject({ files: 0 })
  })

  test.each([
    ['the first', [1], undefined, 'the fragment of worker 0 is missing'],
    ['some in the middle', [0, 3], undefined, 'the fragment of worker 1, 2 is missing'],
    ['the last', [0, 1], 4, 'the fragment of worker 2, 3 is missing'],
  ])('lack %s', async (_, workers, count, why) => {
    const fragments = workers.map((worker) => fragment({ worker }))
    const error = await refusal(fragments, count === undefined ? {} : { workers: count })
    expect(error).toMatchObject({ code: 'CANNOT_MERGE', message: `could not merge fragments: ${why}` })
  })

  test('are of more workers than there were', async () => {
    const fragments = [0, 1, 2].map((worker) => fragment({ worker }))
    expect(await refusal(fragments, { workers: 2 })).toMatchObject({
      message: `could not merge fragments: "${fragments[2]}" is of worker 2, but there were 2 workers`,
    })
  })

  test('claim a worker beyond all counting', async () => {
    expect(await refusal([fragment({ worker: Number.MAX_SAFE_INTEGER })])).toMatchObject({
      code: 'CANNOT_MERGE',
      message: expect.stringMatching(
        /^could not merge fragments: the fragment of worker 0, 1, .* and perhaps others is missing$/,
      ),
    })
  })

  test('are there twice', async () => {
    const one = fragment({ lines: [entry('a')] })
    const other = join(scratch.path, 'copy')
    writeFileSync(other, fragmentBytes({ lines: [entry('b')] }))
    expect(await refusal([one, other])).toMatchObject({
      code: 'CANNOT_MERGE',
      message: `could not merge fragments: worker 0 is doubled: "${one}", "${other}"`,
    })
  })

  test('are given twice', async () => {
    const one = fragment({ lines: [entry('a')] })
    expect(await refusal([one, one])).toMatchObject({
      code: 'CANNOT_MERGE',
      details: [
        `worker 0 is doubled: "${one}", "${one}"`,
        `"a" is recorded in "${one}" and "${one}", with the same checksum`,
      ],
    })
  })

  test.each([
    ['the same checksum', '8a744722', 'with the same checksum'],
    ['another checksum', '994e7be2', 'with another checksum or size'],
  ])('record one pathname twice, with %s', async (_, checksum, how) => {
    const one = fragment({ worker: 0, lines: [entry('a'), entry('b')] })
    const other = fragment({ worker: 1, lines: [entry('c'), entry('a', checksum)] })
    expect(await refusal([other, one])).toMatchObject({
      code: 'CANNOT_MERGE',
      message: expect.stringMatching(
        new RegExp(
          `^could not merge fragments: "a" is recorded in "(${one}" and "${other}|${other}" and "${one})", ${how}$`,
        ),
      ),
    })
  })

  test('record one pathname twice, once encoded, or in the same fragment', async () => {
    const encoded = entry('@').replace('"Path": "@"', '"Encoded-Path": "61"')
    const path = fragment({ lines: [entry('a'), encoded] })
    expect(await refusal([path])).toMatchObject({
      message: `could not merge fragments: "a" is recorded in "${path}" and "${path}", with the same checksum`,
    })
  })

  test('are all named at once, whatever is wrong', async () => {
    const damaged = fragment({ worker: 0, lines: [entry('a')] })
    appendFileSync(damaged, 'more')
    const unsealed = join(scratch.path, `backup_manifest_${backupId}.1`)
    writeFileSync(unsealed, `${entry('b')}\n`)
    const foreign = fragment({ worker: 2, backupId: otherId, lines: [entry('b')] })
    const doubled = join(scratch.path, 'doubled')
    writeFileSync(doubled, fragmentBytes({ worker: 4 }))
    const last = fragment({ worker: 4 })
    const fragments = [damaged, unsealed, foreign, doubled, last]
    const error = await refusal(fragments, {
      walRanges: [{ timeline: 1, startLsn: 5n, endLsn: 5n }],
      manifestVersion: 2,
    })
    expect(error).toMatchObject({
      code: 'CANNOT_MERGE',
      message: 'could not merge fragments: 9 faults',
      details: [
        'a manifest of version 2 needs a system identifier',
        'WAL range 1,0/5,0/5 is empty',
        `backup ${backupId} is that of "${damaged}", "${unsealed}", "${doubled}", "${last}"`,
        `backup ${otherId} is that of "${foreign}"`,
        `worker 4 is doubled: "${doubled}", "${last}"`,
        'the fragment of worker 3 is missing',
        `fragment "${damaged}" is damaged: something follows its seal`,
        `fragment "${unsealed}" has no seal: its worker did not finish`,
        `"b" is recorded in "${unsealed}" and "${foreign}", with the same checksum`,
      ],
    })
  })
})

describe('WAL ranges that do not fit', () => {
  test.each([
    ['there are none', [], ['there is no WAL range']],
    ['one is empty', [at(1, 5n, 5n)], ['WAL range 1,0/5,0/5 is empty']],
    ['one is reversed', [at(1, 6n, 5n)], ['WAL range 1,0/6,0/5 is reversed']],
    [
      'there is a gap between two',
      [at(1, 1n, 5n), at(2, 6n, 9n)],
      ['WAL ranges 1,0/1,0/5 and 2,0/6,0/9 leave a gap between them'],
    ],
    ['two overlap', [at(1, 1n, 6n), at(2, 5n, 9n)], ['WAL ranges 1,0/1,0/6 and 2,0/5,0/9 overlap']],
    [
      'two are of one timeline',
      [at(1, 1n, 5n), at(1, 5n, 9n)],
      ['WAL ranges 1,0/1,0/5 and 1,0/5,0/9 are of the same timeline'],
    ],
    [
      'several things are wrong',
      [at(1, 6n, 5n), at(2, 7n, 7n)],
      [
        'WAL range 2,0/7,0/7 is empty',
        'WAL range 1,0/6,0/5 is reversed',
        'WAL ranges 1,0/6,0/5 and 2,0/7,0/7 leave a gap between them',
      ],
    ],
  ])('%s', async (_, ranges, faults) => {
    const error = await refusal([fragment()], { walRanges: ranges })
    const said =
      faults.length === 1 ? { message: `could not merge fragments: ${faults[0]}` } : { details: faults }
    expect(error).toMatchObject({ code: 'CANNOT_MERGE', ...said })
  })

  test('where the end LSN is to be had is said', async () => {
    const path = fragment()
    const positions = { startLsn: 1n, startTimeline: 1 }
    await expect(mergeFragments({ fragments: [path], output: output(), ...positions })).rejects.toMatchObject(
      {
        hint: expect.stringMatching(/^pg_backup_stop\(\) returns the end LSN\. .*backup history file/),
      },
    )
  })

  test('a data directory of a version that is not known is no damaged one', async () => {
    const pgdata = join(scratch.path, 'data')
    mkdirSync(join(pgdata, 'global'), { recursive: true })
    const control = Buffer.alloc(8192)
    control.writeUInt32LE(2100, 8)
    writeFileSync(join(pgdata, 'global/pg_control'), control)
    const merged = await mergeFragments({
      fragments: [fragment()],
      output: output(),
      pgdata,
      startLsn: 1n,
      startTimeline: 1,
      endLsn: 9n,
      systemIdentifier: 7n,
    })
    expect(merged).toMatchObject({
      version: 2,
      systemIdentifier: 7n,
      warnings: [
        `"${pgdata}/global/pg_control" is of a version of PostgreSQL that is not known, and was not looked at`,
      ],
    })
  })

  test.each<[string, Partial<MergeOptions>, string[]]>([
    [
      'nothing is known',
      {},
      ['the start LSN is not known', 'the start timeline is not known', 'the end LSN is not known'],
    ],
    ['the end is not known', { startLsn: 1n, startTimeline: 1 }, ['the end LSN is not known']],
    [
      'the history is missing',
      { startLsn: 1n, startTimeline: 1, endLsn: 9n, endTimeline: 2, historyDirectory: '/nowhere' },
      ['the history file of timeline 2 is needed, and is not there in "/nowhere"'],
    ],
    [
      'nobody says where the history is',
      { startLsn: 1n, startTimeline: 1, endLsn: 9n, endTimeline: 2 },
      ['the history file of timeline 2 is needed, and is not there'],
    ],
  ])('%s', async (_, positions, faults) => {
    const path = fragment()
    const error: unknown = await mergeFragments({ fragments: [path], output: output(), ...positions }).catch(
      (reason: unknown) => reason,
    )
    const said =
      faults.length === 1 ? { message: `could not merge fragments: ${faults[0]}` } : { details: faults }
    expect(error).toMatchObject({ code: 'CANNOT_MERGE', ...said })
    expect(readdirSync(scratch.path)).toHaveLength(1)
  })
})

test('a data directory that is not there is said to be so', async () => {
  expect(await refusal([fragment()], { pgdata: '/nowhere' })).toMatchObject({
    code: 'IO',
    message: 'could not open directory "/nowhere": No such file or directory',
  })
})

describe('an output that was there', () => {
  test('stays as it was when the merge fails', async () => {
    const path = fragment({ lines: [entry('a'), entry('a')] })
    writeFileSync(output(), 'precious')
    expect(await refusal([path])).toMatchObject({ code: 'CANNOT_MERGE' })
    expect(await refusal([path], { signal: AbortSignal.abort() })).toMatchObject({ code: 'ABORTED' })
    expect(readFileSync(output(), 'utf8')).toBe('precious')
  })

  test('is not replaced when it is no file', async () => {
    mkdirSync(output())
    expect(await refusal([fragment()])).toMatchObject({
      code: 'IO',
      message: `could not write file "${output()}": it exists and is not a regular file`,
    })
  })

  test('cannot be written where there is no folder', async () => {
    const nowhere = join(scratch.path, 'no/manifest')
    expect(await refusal([fragment()], { output: nowhere })).toMatchObject({
      code: 'IO',
      message: expect.stringMatching(/^could not create file ".*": No such file or directory$/),
    })
  })
})

test.each<[string, Partial<MergeOptions>]>([
  ['there is no fragment to merge', { fragments: [] }],
  ['workers must be a whole number from 1', { workers: 0 }],
  ['workers must be a whole number from 1', { workers: Number.NaN }],
  ['a system identifier must be from 0 to 2^64-1', { systemIdentifier: -1n }],
  ['a system identifier must be from 0 to 2^64-1', { systemIdentifier: 2n ** 64n }],
  ['a manifest of version 1 has no system identifier', { manifestVersion: 1, systemIdentifier: 5n }],
  ['PostgreSQL 20 is not known, only 13 to 19', { serverVersion: 20 }],
  ['an LSN must be from 0 to 2^64-1', { startLsn: -1n }],
  ['an LSN must be from 0 to 2^64-1', { walRanges: [at(1, 5n, 2n ** 64n)] }],
  ['a timeline must be a whole number from 1 to 2^32-1', { endTimeline: 0 }],
  ['a timeline must be a whole number from 1 to 2^32-1', { walRanges: [at(2 ** 32, 5n, 6n)] }],
])('%s', async (message, options) => {
  expect(await refusal([fragment()], options)).toMatchObject({ code: 'USAGE', message })
})

test('the text of a manifest is made of its parts', () => {
  // Guards the helpers of this file: the golden manifest is the sum of what they make.
  expect(manifestBody({ files: [entry('PG_VERSION')] })).toBe(manifestBody())
})
