import { statSync } from 'node:fs'
import { displayPathname, type Pathname, pathOf } from '../../files/pathname.js'
import { readNames } from '../../files/read-directory.js'
import { describeSystemError, ioError } from '../../files/system-error.js'
import type { IgnoreRules } from '../ignore-rules.js'
import { fileProblem, type ProblemList } from '../problems.js'
import type { ProblemPlace } from '../share.js'
import { type Archive, archivePrefixOf, parseArchiveName, pathnamePrefix } from '../../source/tar/archive.js'
import { PbManifestError } from '../../errors.js'
import type { FileTable } from '../file-table/file-table.js'
import type { VerifyContext } from '../verify-context.js'
import type { ArchiveResults } from './archive-results.js'

/** Before all that is in archives, in the order of the names. */
const placeOfListing: ProblemPlace = { phase: 'scan', key: [] }

/**
 * Finds the archives in a directory, and reports what else is there. Links are followed.
 *
 * @returns the largest first
 * @throws {@link PbManifestError} `IO` when the directory cannot be read
 * @see src/bin/pg_verifybackup/pg_verifybackup.c, verify_tar_backup, precheck_tar_backup_file
 */
export function listArchives(directory: string, ignore: IgnoreRules, problems: ProblemList): Archive[] {
  return chooseArchives(
    (function* () {
      for (const name of listNames(directory)) {
        if (ignore.matches(name) || ignore.isAdded(name)) continue
        const size = sizeOfFile(directory, name, problems)
        if (size !== undefined) yield { name, size, path: `${directory}/${name}` }
      }
    })(),
    ignore,
    problems,
  )
}

/** The same of files that were found somewhere else. */
export function chooseArchives(
  files: Iterable<{ readonly name: Pathname; readonly size: number; readonly path: string }>,
  ignore: IgnoreRules,
  problems: ProblemList,
): Archive[] {
  const byContents = new Map<string, Archive>()
  for (const file of files) {
    const isLeftOut = ignore.matches(file.name) || ignore.isAdded(file.name)
    const archive = isLeftOut ? undefined : examine(file, problems)
    if (archive === undefined) continue
    const contents = pathnamePrefix(archive.contents)
    const other = byContents.get(contents)
    if (other === undefined) byContents.set(contents, archive)
    else problems.add(sameContents(archive, other), placeOfListing)
  }
  return [...byContents.values()].toSorted((left, right) => right.size - left.size)
}

function listNames(directory: string): Pathname[] {
  try {
    return readNames(directory)
  } catch (error) {
    throw ioError(`could not open directory "${directory}"`, error)
  }
}

function examine(
  file: { readonly name: Pathname; readonly size: number; readonly path: string },
  problems: ProblemList,
): Archive | undefined {
  const { name } = file
  const parsed = parseArchiveName(name)
  if (parsed !== undefined) return { ...parsed, ...file }
  problems.add(
    fileProblem('extra', name, (shown) => `file "${shown}" is not expected in a tar format backup`),
    placeOfListing,
  )
  return undefined
}

function sizeOfFile(directory: string, name: Pathname, problems: ProblemList): number | undefined {
  try {
    const stats = statSync(pathOf(directory, name))
    if (stats.isFile()) return stats.size
    problems.add(
      fileProblem('not-a-file', name, (shown) => `file "${shown}" is not a regular file`),
      placeOfListing,
    )
  } catch (error) {
    const description = describeSystemError(error)
    if (description === undefined) throw error
    problems.add(
      fileProblem(
        'unreadable',
        name,
        (shown) => `could not stat file or directory "${shown}": ${description.message}`,
        { errorCode: description.code },
      ),
      placeOfListing,
    )
  }
  return undefined
}

function sameContents(archive: Archive, other: Archive): ReturnType<typeof fileProblem> {
  return fileProblem(
    'duplicate',
    archive.name,
    (shown) => `file "${shown}" should hold the same as "${other.name}", and was not read`,
    { archive: archive.name, otherArchive: other.name },
  )
}

/** Tells files that would be in these archives from those in others; what has no archive would be in the data directory. */
export function whichAreIn(
  archives: readonly Archive[],
  all: readonly Archive[],
  hasBase: boolean,
): (pathname: Pathname) => boolean {
  const own = prefixesOf(archives)
  const every = prefixesOf(all)
  return (pathname) => {
    const prefix = archivePrefixOf(pathname)
    return every.has(prefix) && prefix !== '' ? own.has(prefix) : hasBase
  }
}

function prefixesOf(archives: readonly Archive[]): ReadonlySet<string> {
  return new Set(archives.map(({ contents }) => pathnamePrefix(contents)))
}

/** Requires that no archive has files of another that is not in this share: then neither alone could be judged. */
export async function requireOwn(
  isOwn: (pathname: Pathname) => boolean,
  { manifest, yielder }: VerifyContext,
  results: ArchiveResults,
): Promise<void> {
  for (const row of results.rows()) {
    if (yielder.isDue) await yielder.yield()
    const pathname = manifest.table.pathname(row)
    if (isOwn(pathname)) continue
    throw new PbManifestError(
      'BAD_FILE',
      `file "${displayPathname(pathname)}" is in another archive than that of its tablespace`,
      { hint: 'Such a backup cannot be verified in shards.' },
    )
  }
}

/** The bytes of the files that these archives should have. */
export function bytesIn(archives: readonly Archive[], table: FileTable): number {
  const own = prefixesOf(archives)
  let bytes = 0
  for (let row = 0; row < table.rows; row++) {
    if (own.has(archivePrefixOf(table.pathname(row)))) bytes += table.size(row)
  }
  return bytes
}
