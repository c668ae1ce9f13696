import { parseWalSegmentName } from '../../../src/postgres/wal-segment.js'
import { createWalBuffer } from '../../../src/postgres/wal/wal-buffer.js'
import { joinParts, type RunResult } from '../../../src/verify/wal/walk-run.js'
import { type SegmentRun, wholeRun } from '../../../src/verify/wal/plan-parts.js'
import { nearestVersion } from '../../../src/postgres/versions.js'
import type { WalSource } from '../../../src/verify/wal/wal-source.js'
import {
  type ExpectedWal,
  type PartResult,
  WAL_BUFFER_BYTES,
  type WalPart,
  walkPart,
} from '../../../src/verify/wal/walk-part.js'
import { type RealWal, realWalSegmentSize, readSegments } from '../../helpers/real-wal.js'

/** WAL in memory, to be damaged. */
export interface MemoryWal {
  readonly bytes: Buffer
  readonly firstSegment: bigint
  /** The LSN of the first byte. */
  readonly baseLsn: bigint
  readonly source: WalSource
  readonly expected: ExpectedWal
  readonly run: SegmentRun
}

export async function loadWal(wal: RealWal): Promise<MemoryWal> {
  const { bytes, firstSegment } = await readSegments(wal)
  const count = bytes.length / realWalSegmentSize
  const { major, startLsn, endLsn, systemIdentifier } = wal
  const { pageMagic } = nearestVersion(major).walFormats[0]
  return {
    bytes,
    firstSegment,
    baseLsn: firstSegment * BigInt(realWalSegmentSize),
    source: memorySource(bytes, firstSegment),
    expected: { pageMagic, timeline: 1, segmentSize: realWalSegmentSize, systemIdentifier, endLsn },
    run: { firstSegment, lastSegment: firstSegment + BigInt(count) - 1n, startLsn },
  }
}

function memorySource(bytes: Buffer, firstSegment: bigint): WalSource {
  return {
    place: 'memory',
    names: [],
    failure: undefined,
    hasUnusedPartial: () => false,
    open: (name) => {
      const number = parseWalSegmentName(name, realWalSegmentSize)?.segmentNumber ?? 0n
      const start = Number(number - firstSegment) * realWalSegmentSize
      return {
        size: realWalSegmentSize,
        read: (buffer, position) =>
          bytes.copy(
            buffer,
            0,
            start + position,
            Math.min(start + position + buffer.length, start + realWalSegmentSize),
          ),
        close: () => {},
      }
    },
    description: undefined,
  }
}

const buffer = createWalBuffer(WAL_BUFFER_BYTES)

/** Reads a part to its end. */
export function readPart({ source, expected }: MemoryWal, part: WalPart): PartResult {
  const walk = walkPart(source, expected, part, buffer)
  for (;;) {
    const step = walk.next()
    if (step.done === true) return step.value
  }
}

/** Reads all from its start to its end, as one. */
export function readSerially(wal: MemoryWal): RunResult {
  const { records, fault, touches } = readPart(wal, wholeRun(wal.run))
  return { records, fault, touches: touches === undefined ? [] : [touches] }
}

/** Reads parts, each by itself, and joins what came of them. */
export function readInParts(wal: MemoryWal, parts: readonly WalPart[]): Promise<RunResult> {
  const results = parts.map((part) => readPart(wal, part))
  return joinParts(
    parts,
    realWalSegmentSize,
    (index) => {
      const result = results[index]
      return result === undefined ? Promise.reject(new Error(`no part ${index}`)) : Promise.resolve(result)
    },
    (part) => Promise.resolve(readPart(wal, part)),
  )
}
