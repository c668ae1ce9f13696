import { displayPathname } from '../../files/pathname.js'
import type { FileTable } from '../file-table/file-table.js'
import { checksumFacts, fileProblem } from '../problems.js'
import type { Problem } from '../report.js'
import type { ArchiveFinding } from './archive-messages.js'

/** A finding in the words of `pg_verifybackup`, where it has some. */
export function archiveProblem(
  archive: string,
  finding: Exclude<ArchiveFinding, { readonly type: 'not there' }>,
  table: FileTable,
): Problem {
  switch (finding.type) {
    case 'extra': {
      const name = displayPathname(finding.name)
      return fileProblem(
        'extra',
        finding.pathname,
        () => `${finding.kind} "${name}" is present in archive "${archive}" but not in the manifest`,
        { archive, member: name, ...(finding.size !== undefined && { size: { found: finding.size } }) },
      )
    }
    case 'size': {
      const name = displayPathname(finding.name)
      const { row, size } = finding
      return fileProblem(
        'size-mismatch',
        table.pathname(row),
        () =>
          `file "${name}" has size ${size} in archive "${archive}" but size ${table.size(row)} in the manifest`,
        { archive, member: name, size: { expected: table.size(row), found: size } },
      )
    }
    case 'mismatch':
      return fileProblem(
        'checksum-mismatch',
        table.pathname(finding.row),
        (name) => `checksum mismatch for file "${name}" in archive "${archive}"`,
        { archive, ...checksumFacts(table, finding.row, finding.checksum) },
      )
    case 'duplicate':
      return fileProblem(
        'duplicate',
        table.pathname(finding.row),
        (name) => `file "${name}" is present more than once in archive "${archive}"`,
        { archive },
      )
    case 'unsafe': {
      const name = displayPathname(finding.name)
      const what = name === '' ? 'tar member has empty name' : `tar member has unsafe path name: "${name}"`
      return {
        kind: 'bad-archive',
        path: archive,
        message: `archive "${archive}": ${what}`,
        archive,
        member: name,
      }
    }
    case 'leads outside': {
      const { kind, name, target } = finding
      return {
        kind: 'bad-archive',
        path: archive,
        message: `archive "${archive}": ${kind} "${displayPathname(name)}" leads out of the backup`,
        detail: `it leads to "${displayPathname(target)}"`,
        archive,
        member: displayPathname(name),
        target: displayPathname(target),
      }
    }
    case 'not a file': {
      const name = displayPathname(finding.name)
      const what = finding.isListed ? 'a regular file' : 'a regular file or directory'
      return fileProblem(
        'not-a-file',
        finding.pathname,
        () => `"${name}" is not ${what} in archive "${archive}"`,
        { archive, member: name },
        finding.detail,
      )
    }
    case 'damaged':
      return {
        kind: 'bad-archive',
        path: archive,
        message: `archive "${archive}": ${finding.message}`,
        ...(finding.detail !== undefined && { detail: finding.detail }),
        archive,
      }
    case 'unreadable':
      return {
        kind: 'unreadable',
        path: archive,
        message: `could not read file "${archive}": ${finding.message}`,
        archive,
        ...(finding.code !== undefined && { errorCode: finding.code }),
      }
    case 'not fetched':
      return {
        kind: 'unreadable',
        path: archive,
        message: `could not fetch archive "${archive}": ${finding.message}`,
        ...(finding.detail !== undefined && { detail: finding.detail }),
        archive,
      }
    default:
      return finding satisfies never
  }
}

/** A file of the manifest is in two archives. */
export function twoArchivesProblem(table: FileTable, row: number, archives: readonly string[]): Problem {
  const named = archives.map((archive) => `archive "${archive}"`).join(' and in ')
  return fileProblem('duplicate', table.pathname(row), (name) => `file "${name}" is present in ${named}`, {
    ...(archives[0] !== undefined && { archive: archives[0] }),
    ...(archives[1] !== undefined && { otherArchive: archives[1] }),
  })
}
