import { isPbManifestError, PbManifestError } from '../../errors.js'
import { readBackupLabel, readControlFile } from '../../manifest/data-directory-files.js'
import { BACKUP_LABEL, CONTROL_FILE } from '../../postgres/data-directory.js'
import { type BackupLabel, parseBackupLabel } from '../../postgres/backup-label.js'
import { CHECKSUMS_ON, type ControlFile, parseControlFile } from '../../postgres/control-file.js'
import { PAGE_SIZE, STOCK_SEGMENT_PAGES } from '../../postgres/data-page/page-layout.js'
import { formatLsn } from '../../postgres/lsn.js'
import type { IgnoreRules } from '../ignore-rules.js'
import type { VerifyOptions } from '../options.js'
import type { NotChecked } from '../report.js'
import type { ReadSmallBackupFile } from '../verify-context.js'

/** Which files' content the threads look at. Plain data: it crosses threads. */
export interface ContentRules {
  readonly hasPageChecksums: boolean
  /** Whether there are incremental files, or may be. */
  readonly hasIncrementalFiles: boolean
  /** Pages of a whole file of a relation. */
  readonly segmentPages: number
}

const SMALL_FILE_BYTES = 64 * 1024

/** What of the files' content will be looked at, and why not more. */
export interface ContentDecision {
  /** `undefined` when there is nothing to look at. */
  readonly rules: ContentRules | undefined
  /** Pages of a whole file of a relation, also when there is nothing to look at. */
  readonly segmentPages: number
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
  return decide(options, {
    control:
      explainIgnored(CONTROL_FILE, ignore) ?? readOrExplain(CONTROL_FILE, () => readControlFile(directory)),
    label:
      explainIgnored(BACKUP_LABEL, ignore) ?? readOrExplain(BACKUP_LABEL, () => readBackupLabel(directory)),
  })
}

/**
 * The same for files that are not on a disk.
 *
 * @throws {@link PbManifestError} `USAGE` when page checksums were asked for and cannot be checked
 */
export function decideContentOfObjects(
  options: VerifyOptions,
  ignore: IgnoreRules,
  readSmallFile: ReadSmallBackupFile,
): ContentDecision {
  return decide(options, readStatements(ignore, readSmallFile))
}

/**
 * What is looked at in archives before anything is known of them: pg_control comes last.
 *
 * @throws {@link PbManifestError} `USAGE` when page checksums were asked for and cannot be checked
 */
export function contentRulesOfArchives(options: VerifyOptions): ContentRules | undefined {
  const { rules } = decide(options, { control: 'not known yet', label: 'not known yet' })
  if (rules === undefined || options.skipChecksums === true) return undefined
  return { ...rules, hasPageChecksums: options.pageChecksums !== 'off' }
}

/**
 * Decides, when the archives have been read, what of that counts.
 *
 * @throws {@link PbManifestError} `USAGE` when page checksums were asked for and cannot be checked
 */
export function decideContentOfArchives(
  options: VerifyOptions,
  ignore: IgnoreRules,
  readSmallFile: ReadSmallBackupFile,
): ContentDecision {
  const { control, label } = readStatements(ignore, readSmallFile)
  const isOfUsualSize = typeof control === 'string' || control.relationSegmentSize === STOCK_SEGMENT_PAGES
  const why = 'the files of relations in the cluster are not of the usual size'
  return decide(options, { control: isOfUsualSize ? control : why, label }, isOfUsualSize ? undefined : why)
}

/** What the files say, or why that is not known. */
interface Statements {
  readonly control: ControlFile | string
  readonly label: BackupLabel | string
}

function readStatements(ignore: IgnoreRules, readSmallFile: ReadSmallBackupFile): Statements {
  const read = <Statement>(name: string, parse: (bytes: Buffer) => Statement): Statement | string =>
    explainIgnored(name, ignore) ??
    readOrExplain(name, () => {
      const bytes = readSmallFile(name, SMALL_FILE_BYTES)
      return bytes && parse(bytes)
    })
  return {
    control: read(CONTROL_FILE, (bytes) => parseControlFile(bytes, CONTROL_FILE)),
    label: read(BACKUP_LABEL, (bytes) => parseBackupLabel(bytes.toString('utf8'), BACKUP_LABEL)),
  }
}

function decide(options: VerifyOptions, { control, label }: Statements, obstacle?: string): ContentDecision {
  const whyNoPageChecksums = obstacle ?? findReasonAgainst(options, control)
  if (whyNoPageChecksums !== undefined && options.pageChecksums === 'on') {
    throw new PbManifestError('USAGE', `cannot check page checksums: ${whyNoPageChecksums}`)
  }
  const incrementalFrom = typeof label === 'string' ? undefined : label.incrementalFrom
  const rules: ContentRules = {
    hasPageChecksums: whyNoPageChecksums === undefined,
    // Without a label, there may be some.
    hasIncrementalFiles: typeof label === 'string' || incrementalFrom !== undefined,
    segmentPages: typeof control === 'string' ? STOCK_SEGMENT_PAGES : control.relationSegmentSize,
  }
  return {
    rules: rules.hasPageChecksums || rules.hasIncrementalFiles ? rules : undefined,
    segmentPages: rules.segmentPages,
    incrementalFrom,
    whyNoPageChecksums,
  }
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
  const whyNotOn = findReasonAgainstChecksums(control)
  if (whyNotOn !== undefined) return whyNotOn
  if (control.blockSize !== PAGE_SIZE) return `the pages of the cluster have ${control.blockSize} bytes`
  return undefined
}

/** Pages are judged only when they had checksums from the backup's checkpoint on. */
function findReasonAgainstChecksums({
  dataChecksumVersion,
  checkPointCopy,
}: ControlFile): string | undefined {
  switch (dataChecksumVersion) {
    case 0:
      return 'data checksums are not enabled in the cluster'
    case CHECKSUMS_ON:
      return (checkPointCopy.dataChecksumVersion ?? CHECKSUMS_ON) === CHECKSUMS_ON
        ? undefined
        : 'data checksums were not yet on at the checkpoint of the backup'
    case 2:
      return 'data checksums were being switched off'
    case 3:
      return 'data checksums were being switched on'
    default:
      return `what data checksum version ${dataChecksumVersion} means is not known`
  }
}

function explainIgnored(name: string, ignore: IgnoreRules): string | undefined {
  return ignore.covers(name) ? `"${name}" is ignored` : undefined
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

/** What of the files' content is left out, by what was decided. */
export function listUncheckedContent(
  { skipChecksums }: VerifyOptions,
  { whyNoPageChecksums, incrementalFrom }: ContentDecision,
): NotChecked[] {
  const left: NotChecked[] = []
  if (whyNoPageChecksums !== undefined) left.push({ what: 'page-checksums', why: whyNoPageChecksums })
  if (incrementalFrom !== undefined) {
    if (skipChecksums === true) left.push({ what: 'incremental-files', why: 'skipped on request' })
    const { lsn, timeline } = incrementalFrom
    const why = `it builds on the backup that starts at ${formatLsn(lsn)} on timeline ${timeline}: see --chain`
    left.push({ what: 'earlier-backups', why })
  }
  return left
}
