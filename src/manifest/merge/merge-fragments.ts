import { statSync } from 'node:fs'
import { WayGiver } from '../../files/give-way.js'
import { createSha256Streams, type Sha256Streams } from '../checksum/sha256-stream.js'
import { identifyFragment } from '../fragment/identify-fragment.js'
import { type FragmentLine, readFragment } from '../fragment/read-fragment.js'
import { ManifestOutput } from '../manifest-output.js'
import { checkMergeOptions } from './check-options.js'
import { DuplicatePathnames } from './duplicate-pathnames.js'
import { findSetFaults, type IdentifiedFragment, orderFragments } from './fragment-set.js'
import { type ManifestFrame, planManifestFrame } from './manifest-frame.js'
import { MergeFaults } from './merge-faults.js'
import type { MergeOptions, MergeResult } from './options.js'

/** Of a server's entries with CRC-32C. */
const TYPICAL_LINE_BYTES = 140

/**
 * Merges the fragments of all workers of a backup into the manifest that PostgreSQL's own server would have written.
 *
 * The same fragments in any order give the same bytes. Memory grows with the set of pathnames only. On an error no
 * output appears, and one that was there stays as it was.
 *
 * @throws {@link PbManifestError} `CANNOT_MERGE` or `BAD_FRAGMENT`, with every culprit in its details; `USAGE`;
 * `BAD_FILE` (of `pgdata`); `IO`; `ABORTED`
 * @example
 * ```ts
 * import { findFragments, mergeFragments } from 'pbmanifest'
 *
 * const merged = await mergeFragments({
 *   fragments: await findFragments(['/backups/fragments']),
 *   workers: 4,
 *   output: '/backups/monday/backup_manifest',
 *   pgdata: '/backups/monday',
 *   endLsn: 0x3000100n,
 * })
 * console.log(`${merged.files} files, checksum ${merged.checksum}`)
 * ```
 */
export async function mergeFragments(options: MergeOptions): Promise<MergeResult> {
  checkMergeOptions(options)
  const faults = new MergeFaults()
  const fragments = options.fragments.map((path) => ({ path, identity: identifyFragment(path) }))
  const frame = planManifestFrame(options, (...fault) => faults.add(...fault))
  for (const fault of findSetFaults(fragments, options.workers)) faults.add(fault)
  const bytes = sumSizes(options.fragments)
  const streams = createSha256Streams(2 * bytes)
  const merge: Merge = { options, fragments, faults, streams, bytes }
  try {
    return frame === undefined || faults.any ? await explainFailure(merge) : await writeManifest(merge, frame)
  } finally {
    await streams.close()
  }
}

interface Merge {
  readonly options: MergeOptions
  readonly fragments: readonly IdentifiedFragment[]
  readonly faults: MergeFaults
  readonly streams: Sha256Streams
  /** Of all fragments. */
  readonly bytes: number
}

/** An estimate: a fragment that has vanished meanwhile is told of when it is read. */
function sumSizes(paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0)
}

/** Nothing will be written; but what is wrong inside the fragments is said as well. */
async function explainFailure(merge: Merge): Promise<never> {
  await readAll(merge, undefined)
  throw merge.faults.toError()
}

async function writeManifest(merge: Merge, frame: ManifestFrame): Promise<MergeResult> {
  const { options, faults, streams } = merge
  const output = await ManifestOutput.create(options.output, frame.header, streams.create())
  try {
    const totals = await readAll(merge, output)
    if (faults.any) throw faults.toError()
    const checksum = await output.commit(frame.walRanges, frame.lsnDigits)
    const warnings = [...frame.warnings, ...totals.warnings]
    return { ...frame.header, walRanges: frame.walRanges, ...totals, warnings, checksum }
  } catch (error) {
    await output.discard()
    throw error
  }
}

interface Totals {
  readonly files: number
  readonly bytes: number
  readonly warnings: readonly string[]
}

/** Reads all fragments, tells what is wrong with them, and passes their lines on. */
async function readAll(merge: Merge, output: ManifestOutput | undefined): Promise<Totals> {
  const { options, fragments, faults, streams } = merge
  const way = new WayGiver(options.signal)
  const duplicates = new DuplicatePathnames(Math.floor(merge.bytes / TYPICAL_LINE_BYTES))
  const warnings: string[] = []
  let files = 0
  let bytes = 0
  const onLine = (line: FragmentLine): void => {
    duplicates.add(line)
    files++
    bytes += line.size
    output?.addFileLine(line.bytes, line.start, line.end)
  }
  const onBlock = (): Promise<void> | undefined =>
    output?.makeRoom() ?? (way.isDue ? way.giveWay() : undefined)
  const unowned = fragments.filter(({ identity }) => identity === undefined)
  for (const { path, identity } of [...orderFragments(fragments), ...unowned]) {
    const filesBefore = files
    const end = await readFragment(path, { onLine, onBlock, hash: streams.create() })
    if (end.type === 'seal') continue
    const isSalvaged = options.allowUnsealed === true && end.type !== 'damaged' && identity !== undefined
    if (isSalvaged) warnings.push(salvageWarning(path, end.type, files - filesBefore))
    else faults.addFragment(path, end)
  }
  for (const fault of await duplicates.describe(fragments.map(({ path }) => path))) faults.add(fault)
  return { files, bytes, warnings }
}

function salvageWarning(path: string, type: 'unsealed' | 'truncated', files: number): string {
  const what = type === 'unsealed' ? 'has no seal' : 'is truncated'
  return `fragment "${path}" ${what}; took the ${files} files that it records whole`
}
