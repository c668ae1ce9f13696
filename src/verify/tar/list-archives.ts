import { statSync } from 'node:fs'
import { type Pathname, pathOf } from '../../files/pathname.js'
import { readNames } from '../../files/read-directory.js'
import { describeSystemError, ioError } from '../../files/system-error.js'
import type { IgnoreRules } from '../ignore-rules.js'
import { fileProblem, type ProblemList } from '../problems.js'
import type { ProblemPlace } from '../share.js'
import { type Archive, parseArchiveName, pathnamePrefix } from '../../source/tar/archive.js'

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
