import { gzipSync } from 'node:zlib'
import { execFileSync } from 'node:child_process'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { hasCompressor } from '../../helpers/compressors.js'
import type { Compression } from '../../../src/files/compression/compression.js'
import { FileTable } from '../../../src/verify/file-table/file-table.js'
import type { ArchiveFinding, ArchiveSummary } from '../../../src/verify/tar/archive-messages.js'
import { checkArchive } from '../../../src/verify/tar/check-archive.js'
import { MemberCheckTools } from '../../../src/verify/tar/member-check.js'
import { paxHeader, tarArchive, tarMember } from '../../files/tar/make-tar.js'
import { empty, version } from './small-tar-backup.js'

const archive = tarArchive(
  version,
  empty,
  paxHeader({ path: 'base/1/1' }),
  tarMember({ name: 'x' }, 'x'.repeat(2000)),
)

const checksums = { PG_VERSION: '8a744722', 'base/1/16384': '00000000' } as const

async function loadTools(): Promise<MemberCheckTools> {
  const table = new FileTable(1000)
  for (const [pathname, hex] of Object.entries(checksums)) {
    const size = pathname === 'PG_VERSION' ? 3 : 0
    const checksum = { algorithm: 'CRC32C' as const, hex }
    table.add({ pathname, size, lastModified: undefined, checksum, isPathEncoded: false })
  }
  table.add({
    pathname: 'base/1/1',
    size: 2000,
    lastModified: undefined,
    checksum: undefined,
    isPathEncoded: false,
  })
  return await MemberCheckTools.load({
    table: table.buffers,
    index: table.indexBuffers,
    rows: table.rows,
    ignore: [],
    algorithms: ['CRC32C'],
    content: undefined,
  })
}

function pipeThrough(program: string, bytes: Buffer): Buffer {
  return execFileSync(program, ['-qc'], { input: bytes })
}

const ways: readonly { compression: Compression; compress: (bytes: Buffer) => Buffer }[] = [
  { compression: 'none', compress: (bytes) => bytes },
  { compression: 'gzip', compress: (bytes) => gzipSync(bytes) },
  ...(['lz4', 'zstd'] as const)
    .filter((program) => hasCompressor(program))
    .map((program) => ({ compression: program, compress: (bytes: Buffer) => pipeThrough(program, bytes) })),
]

describe.each(ways)('an archive with compression $compression', ({ compression, compress }) => {
  const intact = compress(archive)
  let tools: MemberCheckTools

  beforeAll(async () => {
    tools = await loadTools()
  })

  async function check(
    bytes: Buffer,
    cut: number = bytes.length,
  ): Promise<{ findings: ArchiveFinding[]; summary: ArchiveSummary }> {
    const findings: ArchiveFinding[] = []
    const chunks = [bytes.subarray(0, cut), bytes.subarray(cut)]
    const summary = await checkArchive({ prefix: '', compression }, chunks, tools, (finding) => {
      findings.push(finding)
    })
    return { findings, summary }
  }

  test('is found intact, wherever it is cut in two', async () => {
    for (let at = 0; at <= intact.length; at += Math.ceil(intact.length / 500)) {
      const { findings, summary } = await check(intact, at)
      expect(findings).toEqual([])
      expect(summary).toMatchObject({ filesChecked: 2, bytesChecked: 3 })
      expect([...summary.rows]).toEqual([0, 1, 2])
    }
  })

  test('is found damaged or intact, and never fails or hangs, whatever is changed in it', async () => {
    const byte = fc.record({ at: fc.nat({ max: intact.length - 1 }), value: fc.nat({ max: 255 }) })
    const range = fc.record({ start: fc.nat({ max: intact.length }), length: fc.nat({ max: 1500 }) })
    await fc.assert(
      fc.asyncProperty(
        fc.array(byte, { maxLength: 3 }),
        fc.option(range),
        fc.option(range),
        async (changes, dropped, repeated) => {
          let bytes: Buffer = Buffer.from(intact)
          for (const { at, value } of changes) bytes[at] = value
          if (repeated !== null) {
            const { start, length } = repeated
            bytes = Buffer.concat([bytes.subarray(0, start + length), bytes.subarray(start)])
          }
          if (dropped !== null) {
            const { start, length } = dropped
            bytes = Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + length)])
          }
          const { findings, summary } = await check(bytes, 700)
          const damages = findings.filter(({ type }) => type === 'damaged')
          expect(damages.length).toBeLessThanOrEqual(1)
          expect(summary.rows.length).toBeLessThanOrEqual(3)
          // Two files have checksums: without a finding of them, they are what they were.
          const found = summary.smallFiles.get('PG_VERSION')
          const isSilent = findings.length === 0 && summary.filesChecked === 2
          expect(isSilent ? Buffer.from(found ?? []).toString() : '15\n').toBe('15\n')
        },
      ),
      { numRuns: 500 },
    )
  })
})
