import { readFile } from 'node:fs/promises'
import { parseLsn } from '../../src/postgres/lsn.js'
import type { PlainBackup } from '../helpers/plain-backup.js'

/** Of the clusters whose WAL is damaged. */
const segmentSize = 1024 * 1024

/** A byte beside the start of the first WAL range, or the end of the last. */
export async function placeInWal(
  backup: PlainBackup,
  end: 'start' | 'end',
  distance: number,
): Promise<[pathname: string, position: number]> {
  const range = await walRange(backup, end)
  const edge = end === 'start' ? range?.['Start-LSN'] : range?.['End-LSN']
  return placeAt(range, (parseLsn(edge ?? '') ?? 0n) + BigInt(distance))
}

/** A byte of the header of the last page that is read: where a segment has another one depends on when it was switched. */
export async function lastPageOfWal(
  backup: PlainBackup,
  offset: number,
): Promise<[pathname: string, position: number]> {
  const range = await walRange(backup, 'end')
  const last = (parseLsn(range?.['End-LSN'] ?? '') ?? 0n) - 1n
  return placeAt(range, last - (last % 8192n) + BigInt(offset))
}

interface WalRangeEntry {
  readonly Timeline: number
  readonly 'Start-LSN': string
  readonly 'End-LSN': string
}

/** The first WAL range, or the last. */
async function walRange(backup: PlainBackup, end: 'start' | 'end'): Promise<WalRangeEntry | undefined> {
  const manifest = JSON.parse(await readFile(backup.manifestPath, 'utf8')) as {
    'WAL-Ranges': readonly WalRangeEntry[]
  }
  return manifest['WAL-Ranges'].at(end === 'start' ? -1 : 0)
}

function placeAt(range: WalRangeEntry | undefined, lsn: bigint): [pathname: string, position: number] {
  const number = (lsn / BigInt(segmentSize)).toString(16).toUpperCase().padStart(8, '0')
  const timeline = String(range?.Timeline).padStart(8, '0')
  return [`pg_wal/${timeline}00000000${number}`, Number(lsn % BigInt(segmentSize))]
}
