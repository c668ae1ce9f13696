import { isPbManifestError } from '../errors.js'
import { encodePathname, type Pathname } from '../files/pathname.js'
import { parseMajorVersion } from '../manifest/data-directory-files.js'
import { parseControlFile } from '../postgres/control-file.js'
import { CONTROL_FILE, directoriesOfSettings, neededDirectories } from '../postgres/data-directory.js'
import { tablespaceVersionDirectory } from '../postgres/data-directory.js'
import { findVersion, type PostgresVersion } from '../postgres/versions.js'
import type { ReadSmallBackupFile, VerifyContext } from './verify-context.js'
import { fileProblem } from './problems.js'
import type { Problem } from './report.js'

const MAX_VERSION_BYTES = 1024
const MAX_CONTROL_FILE_BYTES = 64 * 1024

/** What there is where a directory should be; `unknown` where nobody could look. */
type Presence = 'directory' | 'no directory' | 'absent' | 'unknown'

/** What is known of the directories of a backup. */
export interface BackupDirectories {
  readonly presence: (pathname: Pathname) => Presence
  /** The OIDs of the tablespaces that the backup has. */
  readonly tablespaces: readonly string[]
  /** Where they are looked for, to be read after "not": `on disk`. */
  readonly place: string
  /** Whether archives have them, of which others may be read elsewhere. Default false. */
  readonly isOfArchives?: boolean
  /** Is awaited before any of them is reported, for what is to be reported before. */
  readonly beforeProblems?: () => Promise<void>
}

/**
 * Reports directories that are not there although a server of the backup's version cannot do without them. A manifest
 * lists files only; what it lists below such a directory is reported as missing itself.
 */
export async function checkNeededDirectories(
  directories: BackupDirectories,
  readSmallFile: ReadSmallBackupFile,
  context: Pick<VerifyContext, 'manifest' | 'ignore' | 'problems' | 'notChecked' | 'warnings' | 'yielder'>,
): Promise<void> {
  const { ignore, problems, notChecked, warnings } = context
  const read: typeof readSmallFile = (pathname, maxBytes) =>
    ignore.covers(pathname) ? undefined : readSmallFile(pathname, maxBytes)
  const major = unlessUnreadable(() => parseMajorVersion(read('PG_VERSION', MAX_VERSION_BYTES)))
  const version = major === undefined ? undefined : findVersion(major)
  if (version === undefined) {
    const why =
      major === undefined ? 'PG_VERSION does not say which' : `this version does not know PostgreSQL ${major}`
    notChecked.push({ what: 'needed-directories', why })
    return
  }
  const all = [...neededDirectories(version), ...insideTablespaces(version, directories.tablespaces, read)]
  const wanted = all.filter(
    (pathname) =>
      !['directory', 'unknown'].includes(directories.presence(pathname)) && !ignore.coversOnRequest(pathname),
  )
  const listed = await findListed(wanted, context)
  if (wanted.length > 0) await directories.beforeProblems?.()
  for (const pathname of wanted) {
    if (!listed.has(pathname) && !problems.concern(pathname))
      problems.add(neededProblem(pathname, directories), {
        phase: 'directories',
        key: [],
        condition: directories.isOfArchives === true ? 'unless-in-archive' : 'unless-concerned',
      })
  }
  for (const { pathname, setting } of directoriesOfSettings(version)) {
    if (directories.presence(pathname) !== 'absent' || ignore.coversOnRequest(pathname)) continue
    const message = `directory "${pathname}" is not ${directories.place}; a server with ${setting} needs it`
    warnings.push({ kind: 'directory-of-a-setting', path: pathname, message })
  }
}

/** In each tablespace, the server keeps its files in a directory with its version, which it makes only with the tablespace. */
function insideTablespaces(
  { major }: PostgresVersion,
  tablespaces: readonly string[],
  read: ReadSmallBackupFile,
): Pathname[] {
  const control = unlessUnreadable(() => {
    const bytes = read(CONTROL_FILE, MAX_CONTROL_FILE_BYTES)
    return bytes && parseControlFile(bytes, CONTROL_FILE)
  })
  if (control === undefined) return []
  const inside = tablespaceVersionDirectory(major, control.catalogVersion)
  return tablespaces.map((oid) => `pg_tblspc/${oid}/${inside}`)
}

/** What is wrong with such a file is reported by the checks of it. */
function unlessUnreadable<Value>(read: () => Value | undefined): Value | undefined {
  try {
    return read()
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return undefined
  }
}

/** Those of the directories below which the manifest lists files that are not ignored. */
async function findListed(
  directories: readonly Pathname[],
  { manifest, ignore, yielder }: Pick<VerifyContext, 'manifest' | 'ignore' | 'yielder'>,
): Promise<Set<Pathname>> {
  const { table } = manifest
  const listed = new Set<Pathname>()
  const beginnings = directories.map((pathname) => encodePathname(`${pathname}/`))
  for (let row = 0; row < table.rows && listed.size < directories.length; row++) {
    if (yielder.isDue) await yielder.yield()
    if (!table.beginsWithOne(row, beginnings)) continue
    const file = table.pathname(row)
    if (ignore.covers(file)) continue
    for (const pathname of directories) if (file.startsWith(`${pathname}/`)) listed.add(pathname)
  }
  return listed
}

function neededProblem(pathname: Pathname, { presence, place }: BackupDirectories): Problem {
  return fileProblem('missing-directory', pathname, (name) =>
    presence(pathname) === 'absent'
      ? `directory "${name}" is needed by the server but not ${place}`
      : `"${name}" is needed by the server as a directory but is none`,
  )
}
