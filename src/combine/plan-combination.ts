import { statSync } from 'node:fs'
import { type Pathname, pathOf } from '../files/pathname.js'
import { Yielder } from '../files/yielder.js'
import { BACKUP_LABEL } from '../postgres/data-directory.js'
import { findPageFile, incrementalPathname, wholeFilePathname } from '../postgres/data-page/page-files.js'
import { type ContentDecision, decideContentRules } from '../verify/content/decide-content-rules.js'
import { IgnoreRules } from '../verify/ignore-rules.js'
import { fileProblem } from '../verify/problems.js'
import { type CheckedInput, labelOfResult } from './check-inputs.js'
import type { CombineFindings } from './findings.js'
import { listResult, type ResultListing } from './list-result.js'
import type { CombineOptions } from './options.js'
import type { ResultFile } from './plan-shares.js'
import { modesOf, requireSafePlaces, type ResultModes } from './prepare-result.js'

/** What is known before anything is written. */
export interface CombinationPlan {
  /** The full backup first; one at least. */
  readonly inputs: readonly CheckedInput[]
  readonly last: CheckedInput
  readonly listing: ResultListing
  readonly files: readonly ResultFile[]
  readonly label: Buffer
  readonly modes: ResultModes
  readonly content: ContentDecision
}

/**
 * Decides what the result is made of.
 *
 * @throws {@link PbManifestError} `USAGE` (where it goes), `IO`, `BAD_FILE` or `ABORTED`
 */
export async function planCombination(
  inputs: readonly CheckedInput[],
  options: CombineOptions,
  findings: CombineFindings,
): Promise<CombinationPlan> {
  const {
    directories,
    output,
    tablespaceMappings = [],
    signal,
    pageChecksums = 'auto',
    verify = true,
  } = options
  const last = inputs.at(-1)
  if (last === undefined) throw new Error('nothing to combine')
  const { directory } = last.member
  const listing = await listResult(directory, new Yielder(signal))
  for (const message of listing.warnings) findings.warn({ directory, message })
  requireSafePlaces(directories, output, listing, tablespaceMappings)
  if (verify) requireAllListed(last, listing, findings)
  return {
    inputs,
    last,
    listing,
    files: listing.files.map((pathname) => ({ pathname, cost: costOf(pathname, inputs) })),
    label: labelOfResult(directory),
    modes: modesOf(directory),
    content: decideContent(
      inputs,
      decideContentRules(directory, { pageChecksums }, new IgnoreRules([])),
      findings,
    ),
  }
}

/** A file that the walk does not reach, because a link is in its way, must not be lost in silence. */
function requireAllListed(
  { member, manifest }: CheckedInput,
  listing: ResultListing,
  findings: CombineFindings,
): void {
  if (manifest === undefined) return
  const { table } = manifest
  const listed = new Set(listing.files)
  const ignored = new IgnoreRules([])
  for (let row = 0; row < table.rows; row++) {
    const pathname = table.pathname(row)
    if (listed.has(pathname) || pathname === BACKUP_LABEL || ignored.covers(pathname)) continue
    const problem = fileProblem(
      'not-a-file',
      pathname,
      (name) => `"${name}" is reached over a symbolic link, which is not followed`,
    )
    findings.addProblem(member.directory, problem)
  }
}

/** Pages are judged where all backups have checksums. */
function decideContent(
  inputs: readonly CheckedInput[],
  decision: ContentDecision,
  findings: CombineFindings,
): ContentDecision {
  const { whyNoPageChecksums } = decision
  const isMixed = inputs.some(({ member }) => member.control?.dataChecksumVersion === 0)
  const why = whyNoPageChecksums ?? (isMixed ? 'not all backups have data checksums' : undefined)
  if (why === undefined) return decision
  findings.leave({ what: 'page-checksums', why })
  return { ...decision, rules: undefined, whyNoPageChecksums: why }
}

/** Bytes that are read for a file of the last backup, by the manifests. */
function costOf(pathname: Pathname, inputs: readonly CheckedInput[]): number {
  const sizeIn = (backup: number, name: string): number | undefined => {
    const table = inputs[backup]?.manifest?.table
    const row = table?.find(name) ?? -1
    return row === -1 ? undefined : table?.size(row)
  }
  const last = inputs.length - 1
  const directory = inputs[last]?.member.directory ?? ''
  // WAL is in no manifest.
  let cost =
    sizeIn(last, pathname) ?? statSync(pathOf(directory, pathname), { throwIfNoEntry: false })?.size ?? 0
  if (findPageFile(pathname)?.isIncremental !== true) return cost
  const whole = wholeFilePathname(pathname)
  for (let backup = last - 1; backup >= 0; backup--) {
    const size = sizeIn(backup, whole)
    if (size !== undefined) return cost + size
    cost += sizeIn(backup, incrementalPathname(whole)) ?? 0
  }
  return cost
}
