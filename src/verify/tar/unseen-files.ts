import type { Pathname } from '../../files/pathname.js'
import type { VerifyContext } from '../verify-context.js'
import { fileProblem } from '../problems.js'
import { type Archive, archivePrefixOf, pathnamePrefix } from '../../source/tar/archive.js'
import type { ArchiveResults } from './archive-results.js'

/** Which files may be where nobody could look: in an archive that cannot be read to its end, or that was not given. */
export class UnseenFiles {
  readonly #byPrefix: ReadonlyMap<string, Archive>
  readonly #unread: ReadonlySet<Archive>
  readonly #isPartial: boolean

  /**
   * @param unread - those that could not be read to their end
   * @param isPartial - whether the backup has more archives than these
   */
  constructor(archives: readonly Archive[], unread: ReadonlySet<Archive>, isPartial: boolean) {
    this.#byPrefix = new Map(archives.map((archive) => [pathnamePrefix(archive.contents), archive]))
    this.#unread = unread
    this.#isPartial = isPartial
  }

  /** Why a file that was not seen may be there nevertheless; `undefined` when it would have been seen. */
  reason(pathname: Pathname): string | undefined {
    const prefix = archivePrefixOf(pathname)
    const own = this.#byPrefix.get(prefix)
    if (own === undefined && this.#isPartial) return 'in archives that were not given'
    const archive = own ?? this.#byPrefix.get('')
    return archive !== undefined && this.#unread.has(archive)
      ? `in the part of archive "${archive.name}" that could not be read`
      : undefined
  }
}

/**
 * Reports what the manifest has and no archive had, in the manifest's order.
 *
 * @param isOwn - whether the file of this row would be in one of them
 * @returns how many files may be where nobody could look
 */
export async function reportMissingFiles(
  { manifest, ignore, problems, notChecked, yielder, share }: VerifyContext,
  results: ArchiveResults,
  unseen: UnseenFiles,
  isOwn: (pathname: Pathname) => boolean = () => true,
): Promise<number> {
  const { table } = manifest
  const counts = new Map<string, { count: number; readonly first: number }>()
  for (let row = 0; row < table.rows; row++) {
    if (yielder.isDue) await yielder.yield()
    if (results.has(row)) continue
    const pathname = table.pathname(row)
    if (ignore.covers(pathname) || !isOwn(pathname)) continue
    const reason = unseen.reason(pathname)
    const counted = counts.get(reason ?? '')
    if (counted !== undefined) counted.count++
    else if (reason !== undefined) counts.set(reason, { count: 1, first: row })
    else {
      problems.add(
        fileProblem('missing', pathname, (name) => `"${name}" is present in the manifest but not on disk`, {
          size: { expected: table.size(row) },
        }),
        { phase: 'missing', key: [row] },
      )
    }
  }
  for (const [reason, { count, first }] of counts) {
    const why = `${count} ${count === 1 ? 'file' : 'files'} of the manifest may be ${reason}`
    const entry = { what: 'unseen-files', why } as const
    if (share === undefined) notChecked.push(entry)
    else share.archives.notChecked.push({ at: [1, first], entry })
  }
  return [...counts.values()].reduce((sum, { count }) => sum + count, 0)
}
