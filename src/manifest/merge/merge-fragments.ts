import { statSync } from 'node:fs'
import { Yielder } from '../../files/yielder.js'
import { createSha256Streams } from '../checksum/background-sha256.js'
import { inlineStreams, type Sha256Streams } from '../checksum/sha256-stream.js'
import {
  type FragmentEnd,
  type FragmentLine,
  identifyFragment,
  readFragment,
} from '../fragment/read-fragment.js'
import { formatManifestChecksum, formatManifestHeader, formatWalRanges } from '../manifest-parts.js'
import { ManifestOutput } from './manifest-output.js'
import { checkMergeOptions, type MergeInput, type MergeOptions, type MergeResult } from './merge-options.js'
import { DuplicatePathnames } from './duplicate-pathnames.js'
import { findSetFaults, type IdentifiedFragment, orderFragments } from './fragment-set.js'
import { type ManifestFrame, planManifestFrame } from './manifest-frame.js'
import { SortedLines } from './sorted-lines.js'
import { PbManifestError } from '../../errors.js'

/** No line of a file has fewer. */
const SHORTEST_LINE_BYTES = '{ "Path": "a", "Size": 0, "Last-Modified": "0000-00-00 00:00:00 GMT" }\n'.length

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
  const merge = beginMerge(options)
  const streams = createSha256Streams(2 * sum(merge.sizes))
  try {
    const frame = await requireFrame(merge, streams)
    const output = await ManifestOutput.create(options.output, frame.header, streams.create())
    try {
      const totals = await readAll(merge, streams, output)
      const checksum = await output.commit(frame.walRanges, frame.lsnDigits)
      const warnings = [...frame.warnings, ...totals.warnings]
      return { ...frame.header, walRanges: frame.walRanges, ...totals, warnings, checksum }
    } catch (error) {
      await output.discard()
      throw error
    }
  } finally {
    await streams.close()
  }
}

/**
 * The manifest of the same files, sorted by their lines, which means by pathname: so it does not show how many workers there
 * were, and which had which file.
 *
 * Nothing is given out before all fragments were found good, and nothing is written. They must stay as they are until the end.
 *
 * @returns its bytes; each piece is valid until the next is asked for
 * @throws {@link PbManifestError} as {@link mergeFragments} does
 */
export async function* mergeSorted(input: MergeInput): AsyncGenerator<Buffer, void, undefined> {
  const merge = beginMerge(input)
  const { header, walRanges, lsnDigits } = await requireFrame(merge, inlineStreams)
  const lines = new SortedLines(merge.files)
  await readAll(merge, inlineStreams, lines)
  const hash = inlineStreams.create()
  const hashed = (piece: Buffer): Buffer => {
    hash.update(piece)
    return piece
  }
  yield hashed(Buffer.from(formatManifestHeader(header)))
  for await (const piece of lines.pieces(merge.yielder)) yield hashed(piece)
  yield hashed(Buffer.from(formatWalRanges(walRanges, lsnDigits)))
  yield Buffer.from(formatManifestChecksum(hash.digest()))
}

interface Merge {
  readonly input: MergeInput
  readonly fragments: readonly IdentifiedFragment[]
  readonly faults: MergeFaults
  readonly yielder: Yielder
  /** Of the fragments, in bytes. */
  readonly sizes: readonly number[]
  /** How many there will probably be. */
  readonly files: number
}

function beginMerge(input: MergeInput): Merge {
  checkMergeOptions(input)
  const yielder = new Yielder(input.signal)
  const faults = new MergeFaults()
  const fragments = input.fragments.map((path) => ({ path, identity: identifyFragment(path) }))
  const sizes = fragments.map(({ path }) => sizeOf(path))
  // A seal may claim any number, but not so many lines in so few bytes.
  const counts = fragments.map(({ identity }, index) =>
    Math.min(identity?.files ?? Infinity, Math.floor((sizes[index] ?? 0) / SHORTEST_LINE_BYTES)),
  )
  return { input, fragments, faults, yielder, sizes, files: sum(counts) }
}

/** An estimate: a fragment that has vanished meanwhile is told of when it is read. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** Where the fragments do not fit together, nothing will be written; but what is wrong inside of them is said as well. */
async function requireFrame(merge: Merge, streams: Sha256Streams): Promise<ManifestFrame> {
  const { input, fragments, faults } = merge
  const frame = planManifestFrame(input, (...fault) => faults.add(...fault))
  for (const fault of findSetFaults(fragments, input.workers)) faults.add(fault)
  if (frame !== undefined && !faults.any) return frame
  await readAll(merge, streams, undefined)
  throw faults.toError()
}

/** Takes the lines of all fragments, in the order of the workers. */
interface LineSink {
  readonly beginFragment?: (path: string) => void
  readonly addLine: (line: FragmentLine) => void
  /** Returns a promise when there is something to wait for. */
  readonly makeRoom?: () => Promise<void> | undefined
}

interface Totals {
  readonly files: number
  readonly bytes: number
  readonly warnings: readonly string[]
}

/** Reads all fragments and passes their lines on; throws what is wrong with them when all were read. */
async function readAll(merge: Merge, streams: Sha256Streams, sink: LineSink | undefined): Promise<Totals> {
  const { input, fragments, faults, yielder } = merge
  const duplicates = new DuplicatePathnames(merge.files)
  const warnings: string[] = []
  let files = 0
  let bytes = 0
  const onLine = (line: FragmentLine): void => {
    duplicates.add(line)
    files++
    bytes += line.size
    sink?.addLine(line)
  }
  const onBlock = (): Promise<void> | undefined =>
    sink?.makeRoom?.() ?? (yielder.isDue ? yielder.yield() : undefined)
  const unowned = fragments.filter(({ identity }) => identity === undefined)
  for (const { path, identity } of [...orderFragments(fragments), ...unowned]) {
    const filesBefore = files
    sink?.beginFragment?.(path)
    const end = await readFragment(path, { onLine, onBlock, hash: streams.create() })
    if (end.type === 'seal') continue
    const isSalvaged = input.allowUnsealed === true && end.type !== 'damaged' && identity !== undefined
    if (isSalvaged) warnings.push(salvageWarning(path, end.type, files - filesBefore))
    else faults.addFragment(path, end)
  }
  for (const fault of await duplicates.describe(fragments.map(({ path }) => path))) faults.add(fault)
  if (faults.any) throw faults.toError()
  return { files, bytes, warnings }
}

function salvageWarning(path: string, type: 'unsealed' | 'truncated', files: number): string {
  const what = type === 'unsealed' ? 'has no seal' : 'is truncated'
  return `fragment "${path}" ${what}; took the ${files} files that it records whole`
}

type Failure = Exclude<FragmentEnd, { readonly type: 'seal' }>

/** Everything that keeps fragments from being merged. */
class MergeFaults {
  readonly #faults: string[] = []
  #isOnlyDamage = true
  /** Of the last fault that has one. */
  #hint: string | undefined

  get any(): boolean {
    return this.#faults.length > 0
  }

  /** A fault of the merge as a whole. */
  add(fault: string, hint?: string): undefined {
    this.#faults.push(fault)
    this.#hint = hint ?? this.#hint
    this.#isOnlyDamage = false
  }

  /** A fragment that cannot be used. */
  addFragment(path: string, failure: Failure): void {
    this.#faults.push(`fragment "${path}" ${describe(failure)}`)
    if (failure.type !== 'damaged') this.#isOnlyDamage = false
  }

  /** One error for all of them: that the fragments are damaged, when that is all, or that they cannot be merged. */
  toError(): PbManifestError {
    const [first = '', ...others] = this.#faults
    const code = this.#isOnlyDamage ? 'BAD_FRAGMENT' : 'CANNOT_MERGE'
    const hint = this.#hint === undefined ? {} : { hint: this.#hint }
    if (others.length === 0) return new PbManifestError(code, `could not merge fragments: ${first}`, hint)
    return new PbManifestError(code, `could not merge fragments: ${this.#faults.length} faults`, {
      details: this.#faults,
      ...hint,
    })
  }
}

function describe(failure: Failure): string {
  switch (failure.type) {
    case 'unsealed':
      return 'has no seal: its worker did not finish'
    case 'truncated':
      return 'is truncated: it ends in the middle of a line'
    case 'damaged':
      return `is damaged: ${failure.reason}`
    default:
      return failure satisfies never
  }
}
