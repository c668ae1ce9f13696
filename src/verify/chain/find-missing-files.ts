import { displayPathname, encodePathname, isUtf8Pathname, type Pathname } from '../../files/pathname.js'
import { openManifest, scanManifest } from '../../manifest/read-manifest.js'
import { findPageFile, wholeFilePathname } from '../../postgres/data-page/page-files.js'
import type { FileTable } from '../file-table/file-table.js'
import type { ChainMember } from './chain-member.js'
import type { ChainProblem } from './chain-report.js'

/**
 * Finds incremental files that have nothing to be combined with: the file is not in the backup before. The server never
 * writes such a one, but two backups of a standby may begin at the same LSN, and so be taken for each other.
 *
 * Each manifest of which there is no table is read once more; what is kept of it is the names of its incremental files.
 *
 * @param tables - the files of each member, as far as somebody has them
 */
export async function findMissingFiles(
  members: readonly ChainMember[],
  signal: AbortSignal | undefined,
  tables: readonly (FileTable | undefined)[] = [],
): Promise<ChainProblem[]> {
  const problems: ChainProblem[] = []
  let later: ChainMember | undefined
  /** Whole files that the later backup's incremental files need. */
  let needed = new Set<Pathname>()
  for (const [index, member] of [...members.entries()].toReversed()) {
    const next = new Set<Pathname>()
    const meet = (pathname: Pathname): void => {
      const isIncremental = findPageFile(pathname)?.isIncremental === true
      const whole = isIncremental ? wholeFilePathname(pathname) : pathname
      needed.delete(whole)
      if (isIncremental) next.add(whole)
    }
    const table = tables[index]
    if (table === undefined) await readPathnames(member, signal, meet)
    else for (let row = 0; row < table.rows; row++) meet(table.pathname(row))
    if (later !== undefined) problems.unshift(...missingFiles(needed, later, member))
    later = member
    needed = next
  }
  return problems
}

async function readPathnames(
  { manifestPath }: ChainMember,
  signal: AbortSignal | undefined,
  onPathname: (pathname: Pathname) => void,
): Promise<void> {
  const found = {
    file: ({ pathname }: { readonly pathname: Pathname }) => onPathname(pathname),
    walRange: () => {},
  }
  await scanManifest(await openManifest(manifestPath), found, { ...(signal && { signal }) })
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
