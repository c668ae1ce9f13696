import { basename } from 'node:path'
import { parseFragmentFileName } from '../fragment/backup-id.js'
import type { FragmentIdentity } from '../fragment/read-fragment.js'

/** How many missing workers are named. */
const MAX_NAMED = 100

/** A fragment's file, and whose it is. */
export interface IdentifiedFragment {
  readonly path: string
  /** `undefined` when neither a seal nor the name says. */
  readonly identity: FragmentIdentity | undefined
}

/** A fragment that can take part in a merge. */
export interface OwnedFragment extends IdentifiedFragment {
  readonly identity: FragmentIdentity
}

/** The fragments in the order in which they are merged. */
export function orderFragments(fragments: readonly IdentifiedFragment[]): OwnedFragment[] {
  return fragments.filter(isOwned).toSorted((left, right) => left.identity.worker - right.identity.worker)
}

/**
 * What keeps fragments from being the fragments of one backup: foreign, doubled and missing ones.
 *
 * @param workers - how many there were; `undefined`: as many as the highest number says
 */
export function findSetFaults(
  fragments: readonly IdentifiedFragment[],
  workers: number | undefined,
): string[] {
  const owned = orderFragments(fragments)
  return [
    ...findForeign(owned),
    ...findMisnamed(owned),
    ...findDoubled(owned),
    ...findMissing(owned, workers),
  ]
}

function isOwned(fragment: IdentifiedFragment): fragment is OwnedFragment {
  return fragment.identity !== undefined
}

/** No id is the right one by itself, so each is named with its fragments. */
function findForeign(fragments: readonly OwnedFragment[]): string[] {
  const byBackup = groupBy(fragments, ({ identity }) => identity.backupId)
  if (byBackup.size <= 1) return []
  return [...byBackup].map(([id, members]) => `backup ${id} is that of ${listPaths(members)}`)
}

/** A seal does not cover itself. Where the file has the name that it should have, it shows whether the two agree. */
function findMisnamed(fragments: readonly OwnedFragment[]): string[] {
  return fragments
    .filter(({ path, identity }) => {
      const named = parseFragmentFileName(basename(path))
      return named && (named.backupId !== identity.backupId || named.worker !== identity.worker)
    })
    .map(
      ({ path, identity: { backupId, worker } }) =>
        `"${path}" does not have the name of what its seal says: worker ${worker} of backup ${backupId}`,
    )
}

function findDoubled(fragments: readonly OwnedFragment[]): string[] {
  const byOwner = groupBy(fragments, ({ identity }) => `${identity.backupId} ${identity.worker}`)
  return [...byOwner.values()]
    .filter((members) => members.length > 1)
    .map((members) => `worker ${members[0]?.identity.worker} is doubled: ${listPaths(members)}`)
}

function findMissing(fragments: readonly OwnedFragment[], workers: number | undefined): string[] {
  const present = new Set(fragments.map(({ identity }) => identity.worker))
  const expected = workers ?? (fragments.at(-1)?.identity.worker ?? -1) + 1
  const faults = fragments
    .filter(({ identity }) => identity.worker >= expected)
    .map(
      ({ path, identity }) => `"${path}" is of worker ${identity.worker}, but there were ${expected} workers`,
    )
  const missing: number[] = []
  // A seal may claim any number: do not count up to it.
  for (let worker = 0; worker < expected && missing.length < MAX_NAMED; worker++) {
    if (!present.has(worker)) missing.push(worker)
  }
  if (missing.length === 0) return faults
  const more = missing.length === MAX_NAMED ? ' and perhaps others' : ''
  return [...faults, `the fragment of worker ${missing.join(', ')}${more} is missing`]
}

function groupBy(
  fragments: readonly OwnedFragment[],
  keyOf: (fragment: OwnedFragment) => string,
): Map<string, OwnedFragment[]> {
  const groups = new Map<string, OwnedFragment[]>()
  for (const fragment of fragments) {
    const key = keyOf(fragment)
    groups.set(key, [...(groups.get(key) ?? []), fragment])
  }
  return groups
}

function listPaths(fragments: readonly OwnedFragment[]): string {
  return fragments.map(({ path }) => `"${path}"`).join(', ')
}
