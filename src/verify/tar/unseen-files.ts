import type { Pathname } from '../../files/pathname.js'
import type { VerifyContext } from '../verify-context.js'
import { fileProblem } from '../problems.js'
import { type Archive, pathnamePrefix } from './archive.js'
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
    const prefix = /^pg_tblspc\/[0-9]+\//.exec(pathname)?.[0] ?? ''
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
 * @returns how many files may be where nobody could look
 */
export async function reportMissingFiles(
  { manifest, ignore, problems, notChecked, yielder }: VerifyContext,
  results: ArchiveResults,
  unseen: UnseenFiles,
): Promise<number> {
  const { table } = manifest
  const counts = new Map<string, number>()
  for (let row = 0; row < table.rows; row++) {
    if (yielder.isDue) await yielder.yield()
    if (results.has(row)) continue
    const pathname = table.pathname(row)
    if (ignore.covers(pathname)) continue
    const reason = unseen.reason(pathname)
    if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1)
    else {
      problems.add(
        fileProblem('missing', pathname, (name) => `"${name}" is present in the manifest but not on disk`, {
          size: { expected: table.size(row) },
        }),
      )
    }
  }
  for (const [reason, count] of counts) {
    notChecked.push({
      what: 'unseen-files',
      why: `${count} ${count === 1 ? 'file' : 'files'} of the manifest may be ${reason}`,
    })
  }
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}
