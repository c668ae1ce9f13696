import { isPbManifestError } from '../errors.js'
import { describeSystemError } from '../files/system-error.js'
import { parseMajorVersion } from '../manifest/data-directory-files.js'
import { BACKUP_LABEL, CONTROL_FILE, TABLESPACE_MAP } from '../postgres/data-directory.js'
import { parseBackupLabel } from '../postgres/backup-label.js'
import {
  type ControlFile,
  isControlFileOfUnknownVersion,
  parseControlFile,
} from '../postgres/control-file.js'
import { parseTablespaceMap } from '../postgres/tablespace-map.js'
import { newestVersion } from '../postgres/versions.js'
import type { ReadSmallBackupFile } from './verify-context.js'
import { findContradictions } from './cluster-consistency.js'
import type { IgnoreRules } from './ignore-rules.js'
import type { ManifestContents } from './manifest-files.js'
import type { ProblemList } from './problems.js'
import type { NotChecked, ProblemKind } from './report.js'
import { placeInCluster } from './share.js'

const MAX_BYTES = 1024 * 1024

/** Where the statements are found, and with what they are compared. */
export interface ClusterContext {
  readonly readSmallFile: ReadSmallBackupFile
  readonly manifest: ManifestContents
  readonly ignore: IgnoreRules
  readonly problems: ProblemList
  readonly notChecked: NotChecked[]
}

/**
 * Reads pg_control, backup_label and tablespace_map, and compares what they say with each other and the manifest.
 *
 * @returns pg_control, when it can be read as one
 */
export function checkCluster(context: ClusterContext): ControlFile | undefined {
  const { manifest, problems, notChecked } = context
  let whyNoControl = isOfNewerVersion(context) ? 'this version does not know its layout' : undefined
  const control =
    whyNoControl === undefined
      ? readStatement(context, CONTROL_FILE, 'control-file', (bytes, name) => {
          if (!isControlFileOfUnknownVersion(bytes)) return parseControlFile(bytes, name)
          whyNoControl = 'this version does not know its layout'
          return undefined
        })
      : undefined
  const label = readStatement(context, BACKUP_LABEL, 'backup-label', (bytes, name) =>
    parseBackupLabel(bytes.toString('utf8'), name),
  )
  readStatement(context, TABLESPACE_MAP, 'tablespace-map', (bytes, name) =>
    parseTablespaceMap(bytes.toString('utf8'), name),
  )
  if (control === undefined) {
    notChecked.push({ what: 'control-file', why: whyNoControl ?? 'there is none that could be read' })
  }
  if (label === undefined) notChecked.push({ what: 'backup-label', why: 'there is none that could be read' })
  const { summary, walRanges } = manifest
  for (const problem of findContradictions({ header: summary, walRanges, control, label }))
    problems.add(problem)
  return control
}

/** Whether the cluster is of a version that came after this program, so that its pg_control cannot be judged. */
function isOfNewerVersion({ readSmallFile, ignore }: ClusterContext): boolean {
  if (ignore.covers('PG_VERSION')) return false
  try {
    const major = parseMajorVersion(readSmallFile('PG_VERSION', MAX_BYTES))
    return (major ?? 0) > newestVersion.major
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return false
  }
}

/** The file's meaning; nothing when it is not there, which the scan has reported, or when it has a problem. */
function readStatement<Statement>(
  context: ClusterContext,
  pathname: string,
  kind: ProblemKind,
  parse: (bytes: Buffer, name: string) => Statement | undefined,
): Statement | undefined {
  if (context.ignore.covers(pathname)) return undefined
  try {
    const bytes = context.readSmallFile(pathname, MAX_BYTES)
    return bytes && parse(bytes, pathname)
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    if (error.code === 'BAD_FILE') context.problems.add({ kind, path: pathname, message: error.message })
    // The scan or the checksums may have met it; without checksums, nobody has tried to read it.
    else if (!context.problems.concern(pathname)) {
      const code = describeSystemError(error.cause)?.code
      context.problems.add(
        {
          kind: 'unreadable',
          path: pathname,
          message: error.message,
          ...(code !== undefined && { errorCode: code }),
        },
        { ...placeInCluster, condition: 'unless-concerned' },
      )
    }
    return undefined
  }
}
