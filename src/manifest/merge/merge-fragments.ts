import { WayGiver } from '../../files/give-way.js'
import { identifyFragment } from '../fragment/identify-fragment.js'
import { readFragment } from '../fragment/read-fragment.js'
import { ManifestOutput } from '../manifest-output.js'
import { checkMergeOptions } from './check-options.js'
import { DuplicatePathnames } from './duplicate-pathnames.js'
import { findSetFaults, type IdentifiedFragment, orderFragments } from './fragment-set.js'
import { type ManifestFrame, planManifestFrame } from './manifest-frame.js'
import { MergeFaults } from './merge-faults.js'
import type { MergeOptions, MergeResult } from './options.js'

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
  const frame = planManifestFrame(options, (fault) => faults.add(fault))
  for (const fault of findSetFaults(fragments, options.workers)) faults.add(fault)
  return frame === undefined || faults.any
    ? await explainFailure(fragments, options, faults)
    : await writeManifest(fragments, frame, options, faults)
}

/** Nothing will be written; but what is wrong inside the fragments is said as well. */
async function explainFailure(
  fragments: readonly IdentifiedFragment[],
  options: MergeOptions,
  faults: MergeFaults,
): Promise<never> {
  await readAll(fragments, options, faults, () => undefined)
  throw faults.toError()
}

async function writeManifest(
  fragments: readonly IdentifiedFragment[],
  frame: ManifestFrame,
  options: MergeOptions,
  faults: MergeFaults,
): Promise<MergeResult> {
  const output = await ManifestOutput.create(options.output, frame.header)
  try {
    const totals = await readAll(fragments, options, faults, (line) => output.addFileLine(line))
    if (faults.any) throw faults.toError()
    const checksum = await output.commit(frame.walRanges)
    return { ...frame.header, walRanges: frame.walRanges, ...totals, checksum }
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

async function readAll(
  fragments: readonly IdentifiedFragment[],
  options: MergeOptions,
  faults: MergeFaults,
  take: (line: Buffer) => Promise<void> | undefined,
): Promise<Totals> {
  const way = new WayGiver(options.signal)
  const duplicates = new DuplicatePathnames()
  const warnings: string[] = []
  let files = 0
  let bytes = 0
  const unowned = fragments.filter(({ identity }) => identity === undefined)
  for (const { path, identity } of [...orderFragments(fragments), ...unowned]) {
    let filesOfFragment = 0
    for (const item of readFragment(path)) {
      if (item.type === 'file') {
        duplicates.add(item.file.pathname)
        filesOfFragment++
        bytes += item.file.size
        // Waiting for each of a million lines would cost more than writing them.
        const written = take(item.line)
        if (written !== undefined) await written
      } else if (item.type !== 'seal') {
        const isSalvaged = options.allowUnsealed === true && item.type !== 'damaged' && identity !== undefined
        if (isSalvaged) warnings.push(salvageWarning(path, item.type, filesOfFragment))
        else faults.addFragment(path, item)
      }
      if (way.isDue) await way.giveWay()
    }
    files += filesOfFragment
  }
  for (const fault of duplicates.describe(fragments.map(({ path }) => path))) faults.add(fault)
  return { files, bytes, warnings }
}

function salvageWarning(path: string, type: 'unsealed' | 'truncated', files: number): string {
  const what = type === 'unsealed' ? 'has no seal' : 'is truncated'
  return `fragment "${path}" ${what}; took the ${files} files that it records whole`
}
