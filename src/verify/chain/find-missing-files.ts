import { displayPathname, encodePathname, isUtf8Pathname, type Pathname } from '../../files/pathname.js'
import { openManifest, scanManifest } from '../../manifest/read-manifest.js'
import { findPageFile, wholeFilePathname } from '../../postgres/data-page/page-files.js'
import type { ChainMember } from './chain-member.js'
import type { ChainProblem } from './chain-report.js'

/**
 * Finds incremental files that have nothing to be combined with: the file is not in the backup before. The server never
 * writes such a one, but two backups of a standby may begin at the same LSN, and so be taken for each other.
 *
 * Each manifest is read once more; what is kept of it is the names of its incremental files.
 */
export async function findMissingFiles(
  members: readonly ChainMember[],
  signal: AbortSignal | undefined,
): Promise<ChainProblem[]> {
  const problems: ChainProblem[] = []
  let later: ChainMember | undefined
  /** Whole files that the later backup's incremental files need. */
  let needed = new Set<Pathname>()
  for (const member of members.toReversed()) {
    const next = new Set<Pathname>()
    await scanManifest(
      await openManifest(member.manifestPath),
      {
        file: ({ pathname }) => {
          const isIncremental = findPageFile(pathname)?.isIncremental === true
          const whole = isIncremental ? wholeFilePathname(pathname) : pathname
          needed.delete(whole)
          if (isIncremental) next.add(whole)
        },
        walRange: () => {},
      },
      { ...(signal && { signal }) },
    )
    if (later !== undefined) problems.unshift(...missingFiles(needed, later, member))
    later = member
    needed = next
  }
  return problems
}

function missingFiles(
  needed: ReadonlySet<Pathname>,
  later: ChainMember,
  before: ChainMember,
): ChainProblem[] {
  const { directory } = later
  return [...needed].map((pathname) => ({
    kind: 'missing-file',
    directory,
    message: `backup at "${directory}" has changed pages of "${displayPathname(pathname)}", which backup at "${before.directory}" does not have`,
    ...(isUtf8Pathname(pathname)
      ? { path: pathname }
      : { encodedPath: encodePathname(pathname).toString('hex') }),
    previousDirectory: before.directory,
  }))
}
