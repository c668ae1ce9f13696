import { isPbManifestError, PbManifestError } from '../../errors.js'
import { BACKUP_LABEL, CONTROL_FILE, readBackupLabel, readControlFile } from '../../manifest/cluster-files.js'
import type { BackupLabel } from '../../postgres/backup-label.js'
import type { ControlFile } from '../../postgres/control-file.js'
import { PAGE_SIZE, STOCK_SEGMENT_PAGES } from '../../postgres/data-page/page-layout.js'
import type { IgnoreRules } from '../ignore-rules.js'
import type { VerifyOptions } from '../options.js'
import type { ContentRules } from './content-rules.js'

/** What of the files' content will be looked at, and why not more. */
export interface ContentDecision {
  /** `undefined` when there is nothing to look at. */
  readonly rules: ContentRules | undefined
  /** What this backup builds on, when backup_label says that it is an incremental one. */
  readonly incrementalFrom: BackupLabel['incrementalFrom']
  /** Why page checksums are not checked; a sentence. */
  readonly whyNoPageChecksums: string | undefined
}

/**
 * Decides before the first file is read: pg_control says whether pages have checksums, backup_label whether there are
 * incremental files. What is wrong with these two is reported elsewhere.
 *
 * @throws {@link PbManifestError} `USAGE` when page checksums were asked for and cannot be checked
 */
export function decideContentRules(
  directory: string,
  options: VerifyOptions,
  ignore: IgnoreRules,
): ContentDecision {
  const wanted = options.pageChecksums ?? 'auto'
  const control = ignore.covers(CONTROL_FILE)
    ? `"${CONTROL_FILE}" is ignored`
    : readOrExplain(CONTROL_FILE, () => readControlFile(directory))
  const whyNoPageChecksums = findReasonAgainst(options, control)
  if (whyNoPageChecksums !== undefined && wanted === 'on') {
    throw new PbManifestError('USAGE', `cannot check page checksums: ${whyNoPageChecksums}`)
  }
  const label = readLabel(directory, ignore)
  const rules: ContentRules = {
    hasPageChecksums: whyNoPageChecksums === undefined,
    // Without a label, there may be some.
    hasIncrementalFiles: label === undefined || label.incrementalFrom !== undefined,
    segmentPages: typeof control === 'string' ? STOCK_SEGMENT_PAGES : control.relationSegmentSize,
  }
  return {
    rules: rules.hasPageChecksums || rules.hasIncrementalFiles ? rules : undefined,
    incrementalFrom: label?.incrementalFrom,
    whyNoPageChecksums,
  }
}

/**
 * The same for a backup in tar format, of which the pages are not looked at.
 *
 * @throws {@link PbManifestError} `USAGE` when page checksums were asked for
 */
export function decideContentOfArchives({ pageChecksums }: VerifyOptions): ContentDecision {
  const why = 'pages in archives are not looked at'
  if (pageChecksums === 'on') throw new PbManifestError('USAGE', `cannot check page checksums: ${why}`)
  return { rules: undefined, incrementalFrom: undefined, whyNoPageChecksums: why }
}

function findReasonAgainst(
  { pageChecksums, skipChecksums, knownChecksums }: VerifyOptions,
  control: ControlFile | string,
): string | undefined {
  if (pageChecksums === 'off') return 'skipped on request'
  if (skipChecksums === true) return 'files are not read, on request'
  if (knownChecksums !== undefined) return 'files whose checksum was known were not read'
  // Asked for, they are checked also where nothing says that there are any.
  if (typeof control === 'string') return pageChecksums === 'on' ? undefined : control
  if (control.dataChecksumVersion === 0) return 'data checksums are not enabled in the cluster'
  if (control.blockSize !== PAGE_SIZE) return `the pages of the cluster have ${control.blockSize} bytes`
  return undefined
}

function readLabel(directory: string, ignore: IgnoreRules): BackupLabel | undefined {
  if (ignore.covers(BACKUP_LABEL)) return undefined
  const label = readOrExplain(BACKUP_LABEL, () => readBackupLabel(directory))
  return typeof label === 'string' ? undefined : label
}

/** The file's meaning, or why it is not known. */
function readOrExplain<Statement>(name: string, read: () => Statement | undefined): Statement | string {
  try {
    return read() ?? `there is no "${name}"`
  } catch (error) {
    if (!isPbManifestError(error)) throw error
    return `"${name}" cannot be read: ${error.message}`
  }
}
