import { existsSync } from 'node:fs'
import { PbManifestError } from '../errors.js'
import { readNames } from '../files/read-directory.js'
import { displayPathname } from '../files/pathname.js'
import { readSmallFile, requireSmallFile } from '../files/read-small-file.js'
import { createFileHasher } from '../manifest/checksum/create-file-hasher.js'
import { openManifest } from '../manifest/read-manifest.js'
import { BACKUP_LABEL, CONTROL_FILE } from '../postgres/data-directory.js'
import { parseBackupLabel } from '../postgres/backup-label.js'
import { formatLsn } from '../postgres/lsn.js'
import { checkTimelines, findChainFaults, findMissingFiles } from '../verify/chain/chain-consistency.js'
import { type ChainMember, readChainMember } from '../verify/chain/chain-member.js'
import type { ChainProblem } from '../verify/chain/chain-report.js'
import { detectBackupFormat } from '../verify/detect-backup-format.js'
import { FileTable } from '../verify/file-table/file-table.js'
import { loadManifest, type ManifestContents } from '../verify/manifest-files.js'
import { verifyBackupAndLend } from '../verify/verify-backup.js'
import { checksumProblem } from './input-file.js'
import type { CombineFindings } from './findings.js'
import type { CombineOptions } from './options.js'

const SMALL_FILE_BYTES = 64 * 1024

/** One of the backups, as far as it can be told without reading its files. */
export interface CheckedInput {
  readonly member: ChainMember
  /** `undefined`: it has none that could be read. */
  readonly manifest: ManifestContents | undefined
}

/**
 * Looks at all that can be wrong with the backups and between them without reading their files, as `verifyChain` does.
 *
 * @returns the inputs, in their order; what is wrong with them is in the findings
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `IO`, `USAGE` (a backup in tar format) or `ABORTED`
 */
export async function checkInputs(
  options: CombineOptions,
  jobs: number,
  findings: CombineFindings,
): Promise<readonly CheckedInput[]> {
  const { directories, signal, verify = true } = options
  for (const directory of directories) requirePlain(directory)
  const inputs: CheckedInput[] = []
  for (const [index, directory] of directories.entries()) {
    const isLast = index === directories.length - 1
    const manifest = verify
      ? await verifyInput(directory, { isLast, jobs, signal }, findings)
      : await loadInputManifest(directory, options, isLast, findings)
    if (verify && manifest !== undefined) await compareStatements(directory, manifest, isLast, findings)
    inputs.push({ manifest, member: readMember(directory, manifest, findings) })
  }
  const members = inputs.map(({ member }) => member)
  for (const fault of findChainFaults(members)) {
    if (verify || fault.kind !== 'data-checksums') findings.addChainProblem(fault)
    else {
      findings.warn({
        message: fault.message,
        hint: 'Disable, and optionally reenable, checksums on the output directory to avoid failures.',
      })
    }
  }
  for (const { member, manifest } of inputs) {
    const fault = verify ? undefined : findOtherManifest(member, manifest)
    if (fault !== undefined) findings.addChainProblem(fault)
  }
  if (!verify) return inputs
  const timelines = checkTimelines(members, (problem) => findings.addChainProblem(problem))
  for (const { why } of timelines) findings.leave({ what: 'timeline-history', why })
  const tables = inputs.map(({ manifest }) => manifest?.table)
  for (const problem of await findMissingFiles(members, signal, tables)) findings.addChainProblem(problem)
  return inputs
}

/** The links between backups are read from their files, and the result is written as files. */
function requirePlain(directory: string): void {
  if (detectBackupFormat(directory) === 'plain') return
  throw new PbManifestError(
    'USAGE',
    `backup at "${displayPathname(directory)}" is in tar format, which cannot be combined`,
    {
      hint: 'Unpack it, each archive of a tablespace into a directory of its own.',
    },
  )
}

async function verifyInput(
  directory: string,
  {
    isLast,
    jobs,
    signal,
  }: { readonly isLast: boolean; readonly jobs: number; readonly signal: AbortSignal | undefined },
  findings: CombineFindings,
): Promise<ManifestContents | undefined> {
  let manifest: ManifestContents | undefined
  // Only the WAL of the last one becomes part of the result.
  const hasWal = isLast && hasWalSegment(directory)
  const onManifest = (read: ManifestContents): void => {
    manifest = read
  }
  const report = await verifyBackupAndLend(onManifest, directory, {
    format: 'plain',
    // They are compared while they are combined.
    skipChecksums: true,
    noParseWal: !hasWal,
    jobs,
    ...(signal && { signal }),
    onProblem: (problem) => findings.addProblem(directory, problem),
  })
  for (const { message } of report.warnings) findings.warn({ directory, message })
  for (const { what, why } of report.notChecked) {
    if (what === 'control-file' || (what === 'wal-records' && isLast)) {
      findings.leave({
        what: what === 'control-file' ? what : 'wal',
        why: `backup at "${directory}": ${why}`,
      })
    }
  }
  if (isLast && !hasWal) {
    const why = 'has no WAL, so the result recovers from an archive only'
    findings.warn({ directory, message: why })
    findings.leave({ what: 'wal', why: `backup at "${directory}" ${why}` })
  }
  return manifest
}

/**
 * Compares what says how the backups belong together with its manifest. The last pg_control is compared when it is put into the result, as
 * all other files are.
 */
async function compareStatements(
  directory: string,
  { table }: ManifestContents,
  isLast: boolean,
  findings: CombineFindings,
): Promise<void> {
  for (const pathname of isLast ? [BACKUP_LABEL] : [BACKUP_LABEL, CONTROL_FILE]) {
    const row = table.find(pathname)
    const algorithm = row === -1 ? undefined : table.algorithm(row)
    const bytes = readSmallFile(`${directory}/${pathname}`, SMALL_FILE_BYTES)
    if (algorithm === undefined || bytes === undefined) continue
    const hasher = await createFileHasher(algorithm, 'unknown')
    hasher.reset()
    hasher.update(bytes)
    const found = table.findOtherChecksum(row, hasher)
    if (found === undefined) continue
    findings.addProblem(directory, checksumProblem(table, row, pathname, found))
  }
}

function hasWalSegment(directory: string): boolean {
  try {
    return readNames(`${directory}/pg_wal`).some((name) => /^[0-9A-F]{24}$/.test(name))
  } catch {
    // The scan says so.
    return false
  }
}

async function loadInputManifest(
  directory: string,
  { signal, manifest: isWanted = true }: CombineOptions,
  isLast: boolean,
  findings: CombineFindings,
): Promise<ManifestContents | undefined> {
  const path = `${directory}/backup_manifest`
  if (!existsSync(path)) {
    if (isLast && isWanted) {
      throw new PbManifestError(
        'IO',
        'cannot generate a manifest because no manifest is available for the final input backup',
      )
    }
    findings.warn({ directory, message: `file "${displayPathname(path)}" does not exist` })
    return undefined
  }
  const source = await openManifest(path, { signal })
  return await loadManifest(source, FileTable.of(source), () => {}, signal)
}

function readMember(
  directory: string,
  manifest: ManifestContents | undefined,
  findings: CombineFindings,
): ChainMember {
  return readChainMember(
    {
      directory,
      manifest: {
        path: `${directory}/backup_manifest`,
        // Of one that is not there, nothing is wrong.
        version: manifest?.summary.version ?? 2,
        walRanges: (manifest?.walRanges ?? []).map(({ timeline, startLsn, endLsn }) => ({
          timeline,
          startLsn: formatLsn(startLsn),
          endLsn: formatLsn(endLsn),
        })),
      },
    },
    (problem) => findings.addChainProblem(problem),
    (unknown) => findings.leave({ what: 'control-file', why: unknown.why }),
  )
}

/** What `verifyBackup` has looked at already where backups are verified. */
function findOtherManifest(
  { directory, control }: ChainMember,
  manifest: ManifestContents | undefined,
): ChainProblem | undefined {
  const stated = manifest?.summary.systemIdentifier
  if (control === undefined || stated === undefined || stated === control.systemIdentifier) return undefined
  const found = String(control.systemIdentifier)
  return {
    kind: 'cluster',
    directory,
    message: `${displayPathname(directory)}/global/pg_control: manifest system identifier is ${stated}, but control file has ${found}`,
    systemIdentifier: { expected: String(stated), found },
  }
}

const ofIncremental = /^INCREMENTAL FROM (?:LSN|TLI): /

/**
 * The label of the result: that of the last backup, without what says that it is an incremental one.
 *
 * @throws {@link PbManifestError} `IO` or `BAD_FILE`
 */
export function labelOfResult(directory: string): Buffer {
  const path = `${directory}/${BACKUP_LABEL}`
  const bytes = requireSmallFile(path, SMALL_FILE_BYTES)
  const text = bytes.toString('latin1')
  const kept = text
    .split('\n')
    .filter((line) => !ofIncremental.test(line))
    .join('\n')
  const label = Buffer.from(kept, 'latin1')
  // What a server would refuse is not passed on.
  parseBackupLabel(label.toString('utf8'), path)
  return label
}
