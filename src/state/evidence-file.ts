import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { endianness } from 'node:os'
import { join } from 'node:path'
import { PbManifestError } from '../errors.js'
import { readSmallFile } from '../files/read-small-file.js'
import { ioError } from '../files/system-error.js'
import type { EvidenceRules, EvidenceTable } from '../verify/plain/evidence.js'
import { writeDurably } from './state-directory.js'

const FILE = 'evidence'

/** Four numbers of 64 bits, one of 64, and a byte. */
const BYTES_PER_ROW = 41
const CHECKSUM_BYTES = 32
const MAX_HEADER_BYTES = 64 * 1024
/** More files than a manifest of 4 GB can list. */
const MAX_BYTES = 2 ** 31 - 1

/** So that a row is the same file. */
interface EvidenceOf {
  readonly manifestChecksum: string
  readonly rows: number
  readonly rules: EvidenceRules
}

/**
 * The first line of the file.
 *
 * @see schemas/evidence-header.schema.json
 */
interface EvidenceHeader extends Omit<EvidenceRules, 'checks' | 'version'> {
  readonly evidenceVersion: 1
  readonly byteOrder: 'LE' | 'BE'
  readonly manifestChecksum: string
  readonly rows: number
  readonly rulesVersion: number
}

/**
 * Reads the evidence on the files of a backup.
 *
 * @param table - is filled with what counts; without evidence it stays as it is
 * @throws {@link PbManifestError} `IO`; `BAD_FILE` when it is damaged, and nothing of it counts
 */
export function readEvidence(
  place: string,
  { manifestChecksum, rows, rules }: EvidenceOf,
  table: EvidenceTable,
): void {
  const path = join(place, FILE)
  const bytes = readSmallFile(path, MAX_BYTES)
  if (bytes === undefined) return
  const end = bytes.length - CHECKSUM_BYTES
  const digest = createHash('sha256')
    .update(bytes.subarray(0, Math.max(end, 0)))
    .digest()
  if (end < 0 || !digest.equals(bytes.subarray(end))) throw damaged(path, 'it does not have its checksum')
  const lineEnd = bytes.subarray(0, MAX_HEADER_BYTES).indexOf('\n')
  // What has its checksum is as one of us wrote it.
  const found = parse(bytes.toString('utf8', 0, Math.max(lineEnd, 0)))
  const { byteOrder, rulesVersion, segmentPages, evidenceVersion } = found
  if (evidenceVersion !== 1) throw damaged(path, `it is of version ${String(evidenceVersion)}`)
  if (found.manifestChecksum !== manifestChecksum || found.rows !== rows)
    throw damaged(path, 'it is of another manifest')
  if (end - lineEnd - 1 !== rows * BYTES_PER_ROW) throw damaged(path, 'it does not have its length')
  if (byteOrder !== endianness() || rulesVersion !== rules.version || segmentPages !== rules.segmentPages)
    return
  let at = lineEnd + 1
  for (const column of columnsOf(table, rows)) {
    bytes.copy(column, 0, at, at + column.length)
    at += column.length
  }
  dropWhatWasNotChecked(table, rows, rules.checks)
}

/** A file of which less was looked at than is now counts as one that was never read. */
function dropWhatWasNotChecked({ checks, readAt }: EvidenceTable, rows: number, wanted: number): void {
  for (let row = 0; row < rows; row++) {
    const found = checks[row] ?? 0
    if (found === 0 || (found & wanted) === wanted) continue
    checks[row] = 0
    readAt[row] = 0
  }
}

/**
 * Writes it, whole or not at all.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function writeEvidence(
  place: string,
  { manifestChecksum, rows, rules }: EvidenceOf,
  table: EvidenceTable,
): Promise<void> {
  const header: EvidenceHeader = {
    evidenceVersion: 1,
    byteOrder: endianness(),
    manifestChecksum,
    rows,
    rulesVersion: rules.version,
    segmentPages: rules.segmentPages,
  }
  const pieces = [Buffer.from(`${JSON.stringify(header)}\n`), ...columnsOf(table, rows)]
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  await writeDurably(join(place, FILE), [...pieces, hash.digest()])
}

/**
 * Removes it: a file that was found bad must not rest on it, whatever becomes of this run.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function removeEvidence(place: string): void {
  const path = join(place, FILE)
  try {
    rmSync(path, { force: true })
  } catch (error) {
    throw ioError(`could not remove file "${path}"`, error)
  }
}

/** The memory of the first rows, in the order of the file. */
function columnsOf({ stats, readAt, checks }: EvidenceTable, rows: number): Buffer[] {
  return [stats.subarray(0, 4 * rows), readAt.subarray(0, rows), checks.subarray(0, rows)].map((column) =>
    Buffer.from(column.buffer as unknown as ArrayBuffer, column.byteOffset, column.byteLength),
  )
}

function parse(text: string): Partial<EvidenceHeader> {
  try {
    return JSON.parse(text) as EvidenceHeader
  } catch {
    return {}
  }
}

function damaged(path: string, why: string): PbManifestError {
  return new PbManifestError('BAD_FILE', `state file "${path}" is damaged: ${why}`)
}
