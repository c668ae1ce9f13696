import { PbManifestError } from '../errors.js'
import type { Yielder } from '../files/yielder.js'
import { type FragmentFault, readReportFragment, type ReportFragment } from './read-report-fragment.js'

/** So many missing shards are named. */
const MAX_NAMED = 100

/** Which fragments there should be. */
interface ExpectedSet {
  readonly shards?: number
  readonly maxAgeSeconds?: number
}

/**
 * Reads fragments, and requires that they are those of all shards of one verification of one backup.
 *
 * @returns them, by the numbers of their shards
 * @throws {@link PbManifestError} `BAD_FRAGMENT` when all that is wrong is damage, else `CANNOT_MERGE`; one error names all
 * culprits; `IO` or `ABORTED`
 */
export async function requireWholeSet(
  paths: readonly string[],
  expected: ExpectedSet,
  yielder: Yielder,
): Promise<ReportFragment[]> {
  const fragments: ReportFragment[] = []
  const faults: FragmentFault[] = []
  for (const path of paths) {
    const read = readReportFragment(path)
    if ('reason' in read) faults.push(read)
    else if (isTooOld(read, expected)) {
      faults.push({ path, reason: `is too old: it was begun at ${read.run.startedAt}`, isDamage: false })
    } else fragments.push(read)
    await yielder.yield()
  }
  const ofFiles = faults.map(({ path, reason }) => `report fragment "${path}" ${reason}`)
  const ofSet = findSetFaults(fragments, expected)
  const isOnlyDamage = ofSet.every((fault) => fault.isMissing) && faults.every(({ isDamage }) => isDamage)
  const all = [...ofFiles, ...ofSet.map(({ message }) => message)]
  const [only = ''] = all
  if (all.length > 0) {
    const code = isOnlyDamage && faults.length > 0 ? 'BAD_FRAGMENT' : 'CANNOT_MERGE'
    const what = all.length === 1 ? only : `${all.length} faults`
    throw new PbManifestError(
      code,
      `could not merge report fragments: ${what}`,
      all.length === 1 ? {} : { details: all },
    )
  }
  return fragments.toSorted((left, right) => left.seal.shard - right.seal.shard)
}

function isTooOld({ run }: ReportFragment, { maxAgeSeconds }: ExpectedSet): boolean {
  return maxAgeSeconds !== undefined && Date.parse(run.startedAt) < Date.now() - maxAgeSeconds * 1000
}

interface SetFault {
  readonly message: string
  readonly isMissing: boolean
}

/** What keeps fragments that are whole from being those of one verification. */
function findSetFaults(fragments: readonly ReportFragment[], expected: ExpectedSet): SetFault[] {
  const differing = sameForAll.flatMap(({ what, of }) => findDiffering(fragments, what, of))
  const others = [...differing, ...findDoubled(fragments)].map((message) => ({ message, isMissing: false }))
  return [...others, ...findMissing(fragments, expected)]
}

/** What has to be the same in all fragments. No one of them is the right one by itself, so each is named with its files. */
const sameForAll: readonly { what: string; of: (fragment: ReportFragment) => string }[] = [
  { what: 'version of pbmanifest', of: ({ run }) => run.pbmanifestVersion },
  { what: 'backup with manifest checksum', of: ({ seal }) => seal.manifestChecksum },
  { what: 'number of shards', of: ({ seal }) => String(seal.shards) },
  { what: 'format', of: ({ findings }) => findings.format },
  { what: 'set of options', of: ({ findings }) => JSON.stringify(findings.asked) },
  { what: 'set of archives', of: ({ findings }) => listArchives(findings.archives?.names ?? []) },
  { what: 'listing of objects with checksum', of: ({ findings }) => findings.listing ?? '' },
]

function listArchives(names: readonly (readonly [string, number])[]): string {
  return names.map(([name, size]) => `"${name}" of ${size} bytes`).join(', ')
}

function findDiffering(
  fragments: readonly ReportFragment[],
  what: string,
  of: (fragment: ReportFragment) => string,
): string[] {
  const groups = groupBy(fragments, of)
  if (groups.size <= 1) return []
  return [...groups].map(([value, members]) => `${what} ${value} is that of ${listPaths(members)}`)
}

function findDoubled(fragments: readonly ReportFragment[]): string[] {
  const groups = groupBy(fragments, ({ seal }) => `${seal.shard}/${seal.shards}`)
  return [...groups]
    .filter(([, members]) => members.length > 1)
    .map(([shard, members]) => `shard ${shard} is doubled: ${listPaths(members)}`)
}

function findMissing(fragments: readonly ReportFragment[], expected: ExpectedSet): SetFault[] {
  const present = new Set(fragments.map(({ seal }) => seal.shard))
  const claimed = Math.max(0, ...fragments.map(({ seal }) => seal.shards))
  const shards = expected.shards ?? claimed
  const faults: SetFault[] = []
  if (expected.shards !== undefined && claimed !== 0 && claimed !== expected.shards) {
    const message = `there should be ${expected.shards} shards, but the fragments are of ${claimed}`
    faults.push({ message, isMissing: false })
  }
  const missing: number[] = []
  for (let shard = 1; shard <= shards; shard++) if (!present.has(shard)) missing.push(shard)
  if (missing.length === 0) return faults
  const more = missing.length > MAX_NAMED ? `, and ${missing.length - MAX_NAMED} others` : ''
  const named = `${missing.slice(0, MAX_NAMED).join(', ')}${more}`
  return [...faults, { message: `the fragment of shard ${named} is missing, of ${shards}`, isMissing: true }]
}

function groupBy(
  fragments: readonly ReportFragment[],
  keyOf: (fragment: ReportFragment) => string,
): Map<string, ReportFragment[]> {
  const groups = new Map<string, ReportFragment[]>()
  for (const fragment of fragments) {
    const key = keyOf(fragment)
    groups.set(key, [...(groups.get(key) ?? []), fragment])
  }
  return groups
}

function listPaths(fragments: readonly ReportFragment[]): string {
  return fragments.map(({ path }) => `"${path}"`).join(', ')
}
