import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pageChecksum } from '../../../src/postgres/data-page/page-checksum.js'
import { findChecksummedFile, PageVerification } from '../../../src/transfer/session/page-verification.js'

const startLsn = 0x1_0000_0100n
const older = startLsn - 1n

interface PageOptions {
  readonly lsn?: bigint
  readonly isWrong?: boolean
  readonly isNew?: boolean
  readonly filler?: string
}

function makePage(
  block: number,
  { lsn = older, isWrong = false, isNew = false, filler = 'x' }: PageOptions,
): Buffer {
  const page = Buffer.alloc(8192, filler)
  page.writeUInt32LE(Number(lsn >> 32n), 0)
  page.writeUInt32LE(Number(lsn & 0xffff_ffffn), 4)
  page.writeUInt16LE(isNew ? 0 : 8192, 14)
  const checksum = pageChecksum(page, 0, block)
  page.writeUInt16LE(isWrong ? (checksum % 65_535) + 1 : checksum, 8)
  return page
}

interface Outcome {
  readonly sent: Buffer
  readonly warnings: readonly string[]
  readonly failures: number
}

/** Sends a file in pieces of this size. */
async function send(
  file: Buffer,
  rereadPage: (offset: number) => Buffer | undefined,
  pathname = 'base/5/1259',
  pieceBytes = 100_000,
  hasDataChecksums: () => boolean = () => true,
): Promise<Outcome> {
  const warnings: string[] = []
  let failures = 0
  const pages = new PageVerification({
    startLsn,
    majorVersion: 15,
    rereadPage: async (_, offset) => await Promise.resolve(rereadPage(offset)),
    hasDataChecksums: async () => await Promise.resolve(hasDataChecksums()),
    warn: (message) => warnings.push(message),
    onFailure: () => {
      failures++
    },
  })
  expect(pages.begin(pathname)).toBe(true)
  const sent: Buffer[] = []
  for (let from = 0; from < file.length; from += pieceBytes) {
    const piece = file.subarray(from, from + pieceBytes)
    for (let at = 0; at < piece.length;) {
      at += pages.fill(piece.subarray(at))
      if (pages.isFull) sent.push(Buffer.from(await pages.drain()))
    }
  }
  sent.push(Buffer.from(await pages.finish()))
  return { sent: Buffer.concat(sent), warnings, failures }
}

/** A file of 100 pages: more than the buffer holds. */
function makeFile(special: Readonly<Record<number, PageOptions>>, firstBlock = 0): Buffer {
  return Buffer.concat(
    Array.from({ length: 100 }, (_, index) => makePage(firstBlock + index, special[index] ?? {})),
  )
}

const asItWas =
  (file: Buffer) =>
  (offset: number): Buffer =>
    Buffer.from(file.subarray(offset, offset + 8192))

describe('a file of pages', () => {
  test.each<[string, Readonly<Record<number, PageOptions>>]>([
    ['that are intact', {}],
    ['of which some are new', { 0: { isNew: true, isWrong: true }, 70: { isNew: true, isWrong: true } }],
    [
      'of which some were changed since the start',
      { 3: { isWrong: true, lsn: startLsn }, 99: { isWrong: true, lsn: 2n ** 63n } },
    ],
  ])('%s passes as it is', async (_, special) => {
    const file = makeFile(special)
    const outcome = await send(file, () => expect.unreachable('nothing needs to be read again'))
    expect(outcome).toMatchObject({ warnings: [], failures: 0 })
    expect(outcome.sent.equals(file)).toBe(true)
  })

  test('with a wrong one is sent, and told of', async () => {
    const file = makeFile({ 40: { isWrong: true } })
    const expected = file.readUInt16LE(40 * 8192 + 8)
    const calculated = pageChecksum(file, 40 * 8192, 40)
    const outcome = await send(file, asItWas(file))
    expect(outcome.sent.equals(file)).toBe(true)
    expect(outcome).toMatchObject({
      failures: 1,
      warnings: [
        'checksum verification failed in file "base/5/1259", block 40: ' +
          `calculated ${calculated.toString(16).toUpperCase()} but expected ${expected.toString(16).toUpperCase()}`,
      ],
    })
  })

  test('with one that is good when it is read again is sent with that', async () => {
    const file = makeFile({ 40: { isWrong: true } })
    const good = makePage(40, { filler: 'y' })
    const outcome = await send(file, () => good)
    expect(outcome).toMatchObject({ warnings: [], failures: 0 })
    good.copy(file, 40 * 8192)
    expect(outcome.sent.equals(file)).toBe(true)
  })

  test('with one that was changed when it is read again passes', async () => {
    const file = makeFile({ 40: { isWrong: true } })
    const outcome = await send(file, () => makePage(40, { isWrong: true, lsn: startLsn }))
    expect(outcome).toMatchObject({ warnings: [], failures: 0 })
  })

  test('is not verified further when data checksums are no longer on', async () => {
    const file = makeFile({ 40: { isWrong: true }, 41: { isWrong: true }, 99: { isWrong: true } })
    let asked = 0
    const outcome = await send(file, asItWas(file), 'base/5/1259', 100_000, () => {
      asked++
      return asked === 1
    })
    expect(outcome.failures).toBe(1)
    expect(outcome.warnings.at(-1)).toBe('data checksums are no longer on: pages are not verified any more')
    expect(outcome.warnings).toHaveLength(2)
    expect(asked).toBe(2)
    expect(outcome.sent.equals(file)).toBe(true)
  })

  test('that is truncated meanwhile is not verified further', async () => {
    const file = makeFile({ 40: { isWrong: true }, 41: { isWrong: true }, 99: { isWrong: true } })
    const outcome = await send(file, () => undefined)
    expect(outcome).toMatchObject({ warnings: [], failures: 0 })
    expect(outcome.sent.equals(file)).toBe(true)
  })

  test('with many wrong ones names five, and counts them', async () => {
    const special = Object.fromEntries([1, 2, 3, 40, 41, 42, 99].map((block) => [block, { isWrong: true }]))
    const file = makeFile(special)
    const { warnings, failures } = await send(file, asItWas(file))
    expect(failures).toBe(7)
    expect(warnings.map((warning) => /block ([0-9]+)/.exec(warning)?.[1] ?? warning)).toEqual([
      '1',
      '2',
      '3',
      '40',
      '41',
      'further checksum verification failures in file "base/5/1259" will not be reported',
      'file "base/5/1259" has a total of 7 checksum verification failures',
    ])
  })

  test('that ends in a piece of one is told of, and verified up to there', async () => {
    const file = makeFile({ 98: { isWrong: true } }).subarray(0, 99 * 8192 + 17)
    const { warnings, sent } = await send(file, asItWas(file))
    expect(warnings).toEqual([
      expect.stringMatching(/^checksum verification failed in file "base\/5\/1259", block 98: /),
      'could not verify checksum in file "base/5/1259", block 99: read buffer size 17 and page size 8192 differ',
    ])
    expect(sent.equals(file)).toBe(true)
  })

  test('that continues another counts its blocks from where that ends', async () => {
    const file = makeFile({}, 2 * 131_072)
    const intact = await send(file, asItWas(file), 'base/5/1259.2')
    expect(intact).toMatchObject({ warnings: [], failures: 0 })
    const misplaced = await send(file, asItWas(file), 'base/5/1259.1')
    expect(misplaced.failures).toBe(100)
    expect(misplaced.warnings[0]).toMatch(/ in file "base\/5\/1259\.1", block 0: /)
  })

  test('may come in pieces of any size', async () => {
    const file = makeFile({ 40: { isWrong: true } }).subarray(0, 99 * 8192 + 17)
    const whole = await send(file, asItWas(file), 'base/5/1259', file.length)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 500, max: 400_000 }), async (pieceBytes) => {
        const { sent, ...told } = await send(file, asItWas(file), 'base/5/1259', pieceBytes)
        expect(told).toEqual({ warnings: whole.warnings, failures: 1 })
        expect(sent.equals(whole.sent)).toBe(true)
      }),
      { numRuns: 10 },
    )
  })
})

describe('findChecksummedFile', () => {
  const none = 'none'
  test.each<[string, number | typeof none | undefined, number | typeof none | undefined]>([
    ['base/5/1259', 0, 0],
    ['base/5/1259.3', 3, 3],
    ['base/5/1259_vm', 0, 0],
    ['base/5/1259_fsm.12', 12, 12],
    ['global/1262', 0, 0],
    ['pg_tblspc/16384/PG_15_202209061/5/16390.1', 1, 1],
    ['base/5/PG_VERSION', none, none],
    ['base/5/pg_filenode.map', none, none],
    ['global/pg_control', none, none],
    ['base/5/pg_internal.init.123', none, none],
    ['pg_xact/0000', none, none],
    ['PG_VERSION', none, none],
    ['base/5/notes', 0, none],
    ['base/5/notes.2x', 2, none],
    ['base/5/88888.x', undefined, none],
    ['base/5/88888.0', undefined, none],
    ['base/5/.hidden', undefined, none],
    ['base/5/INCREMENTAL.1259', 1259, none],
    ['base/notes', 0, none],
  ])('finds of %s what servers up to 16 and from 17 do', (pathname, upTo16, from17) => {
    const segmentOf = (majorVersion: number): number | string | undefined => {
      const file = findChecksummedFile(pathname, majorVersion)
      return file.isChecksummed ? file.segment : none
    }
    expect([13, 16, 17, 18].map(segmentOf)).toEqual([upTo16, upTo16, from17, from17])
  })

  test('has a stray file told of, which would let the backup fail before 17', () => {
    const warnings: string[] = []
    const pages = new PageVerification({
      startLsn,
      majorVersion: 15,
      rereadPage: () => expect.unreachable(),
      hasDataChecksums: () => expect.unreachable(),
      warn: (message) => warnings.push(message),
      onFailure: () => expect.unreachable(),
    })
    expect(pages.begin('base/5/88888.x')).toBe(false)
    expect(warnings).toEqual(['could not verify checksum in file "base/5/88888.x": invalid segment number 0'])
  })
})
