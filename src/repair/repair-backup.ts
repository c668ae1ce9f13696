import { existsSync, readdirSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { isPbManifestError, PbManifestError } from '../errors.js'
import { displayPathname } from '../files/pathname.js'
import { ownPathname } from '../files/safe-pathname.js'
import { ioError } from '../files/system-error.js'
import { throwIfAborted } from '../files/yielder.js'
import { startRun } from '../run-facts.js'
import { detectBackupFormat } from '../verify/detect-backup-format.js'
import type { VerifyOptions } from '../verify/options.js'
import { problemsOf } from '../verify/make-report.js'
import type { ProblemKind, VerifyReport } from '../verify/report.js'
import { verifyBackup } from '../verify/verify-backup.js'
import { identifyCopy, RepairCopy } from './repair-copy.js'
import { leadLinks } from './lead-links.js'
import type { RepairOptions, RepairProgress } from './options.js'
import { planRepair } from './plan-repair.js'
import { isLeftover } from './replacement-file.js'
import { RepairedDirectory } from './repaired-directory.js'
import { RepairRun } from './repair-run.js'
import type { RepairItem, RepairReport } from './report.js'

const MANIFEST = 'backup_manifest'

/** With one of these, the manifest is not to be trusted, and nothing is repaired by it. */
const signatureProblems: readonly ProblemKind[] = [
  'signature-missing',
  'signature-invalid',
  'signer-not-allowed',
]

/**
 * Repairs a backup in plain format from another copy of it: what is missing or damaged is fetched, compared with the backup's
 * manifest while it is written to a temporary file, and only then takes its place. When anything was written, the backup is
 * verified again.
 *
 * Without `write` it says what would be repaired, and changes nothing.
 *
 * @returns the report, also of a backup that could not be repaired: look at `verdict`
 * @throws {@link PbManifestError} `BAD_MANIFEST`, `IO`, `USAGE` or `ABORTED`; no file is left half-written
 * @example
 * ```ts
 * import { repairBackup } from 'pbmanifest'
 *
 * const report = await repairBackup('/backups/monday', { from: '/mirror/monday', write: true })
 * for (const { path, outcome, reason } of report.items) console.log(path, outcome, reason?.message)
 * ```
 */
export async function repairBackup(directory: string, options: RepairOptions): Promise<RepairReport> {
  return await repairFromCopy(await RepairCopy.open(options), directory, options)
}

/** The same from a copy that is open already, and is closed then. */
export async function repairFromCopy(
  copy: RepairCopy,
  directory: string,
  options: RepairOptions,
): Promise<RepairReport> {
  const { shown, failures } = copy
  try {
    const { onItem, onCopy } = options
    const report = await repairFrom(copy, directory, {
      ...options,
      ...(onItem && { onItem: (item) => onItem(whyUnread(item, failures)) }),
      ...(onCopy && { onCopy: (identity) => onCopy({ ...identity, directory: shown }) }),
    })
    const items = report.items.map((item) => whyUnread(item, failures))
    return { ...report, items, copy: { ...report.copy, directory: shown } }
  } finally {
    copy.close()
  }
}

/** A file that was not kept because it could not be read. */
function whyUnread(item: RepairItem, failures: RepairCopy['failures']): RepairItem {
  const failure = item.path === undefined ? undefined : failures.get(item.path)
  if (failure === undefined || item.reason?.kind !== 'copy-missing') return item
  const message = `could not read "${item.path}" of the copy: ${failure}`
  return { ...item, reason: { kind: 'copy-unreadable', message } }
}

async function repairFrom(
  copy: RepairCopy,
  directory: string,
  options: RepairOptions,
): Promise<RepairReport> {
  const started = performance.now()
  const finished = startRun()
  const { write = false, links = [], signal } = options
  const { directory: from } = copy
  requireApart(directory, from, write)
  const items: RepairItem[] = []
  const add = (item: RepairItem): void => {
    items.push(item)
    options.onItem?.(item)
  }
  for (const item of await leadLinks(links, { directory, copy: from, writes: write })) add(item)

  const { before, manifestPath } = await lookAt(copy, directory, options)
  const isOfCopy = manifestPath === `${from}/${MANIFEST}` && options.manifestPath === undefined
  const identity = await identifyCopy(from, before.manifest, signal)
  if (before.verdict === 'failed' || isOfCopy) options.onCopy?.(identity)
  const isTrusted = !signatureProblems.some((kind) => before.problemCounts[kind] > 0)
  const target = new RepairedDirectory(directory, links, write)
  const run = new RepairRun({
    directory,
    copy,
    target,
    options,
    before,
    manifestPath,
    jobs: options.jobs ?? availableParallelism(),
    isSameBackup: options.isSameBackup ?? identity.backup === 'same',
    add,
  })
  const table = isTrusted && before.verdict === 'failed' ? await run.loadTable() : undefined
  const plan = table && planRepair(problemsOf(before), table)
  if (plan !== undefined && table !== undefined) {
    if (write) {
      for (const leftover of [...plan.leftovers, ...leftoversInWal(directory)]) await target.remove(leftover)
    }
    await run.repair(plan)
  }
  if (isOfCopy && isTrusted) await run.repairManifest()
  if (write) await target.sync()
  throwIfAborted(signal)

  const hasOwnManifest =
    !isOfCopy || items.some(({ what, outcome }) => what === 'manifest' && outcome === 'repaired')
  const hasChanged =
    items.some(({ what, outcome }) => what !== 'link' && outcome === 'repaired') ||
    (write && (plan?.leftovers.length ?? 0) > 0)
  const after = hasChanged
    ? await verify(directory, options, 'verify again', isOfCopy && hasOwnManifest ? undefined : manifestPath)
    : undefined
  const problems = after?.problems ?? (write || plan === undefined ? before.problems : plan.others)
  return {
    reportVersion: 1,
    ...finished(),
    directory,
    copy: identity,
    isDryRun: !write,
    manifest: { path: before.manifest.path, checksum: before.manifest.checksum, isOfCopy },
    verdict: decideVerdict(after ?? before, { items, problems, write }),
    items,
    problemCountsBefore: before.problemCounts,
    problems,
    notChecked: (after ?? before).notChecked,
    bytesWritten: run.bytesWritten,
    seconds: (performance.now() - started) / 1000,
  }
}

/** @throws {@link PbManifestError} `USAGE` or `IO` */
function requireApart(directory: string, copy: string, writes: boolean): void {
  const [own, other] = [directory, copy].map((path) => {
    try {
      return statSync(path, { bigint: true })
    } catch (error) {
      throw ioError(`could not open directory "${displayPathname(path)}"`, error)
    }
  })
  if (own?.dev === other?.dev && own?.ino === other?.ino) {
    throw new PbManifestError('USAGE', `"${displayPathname(copy)}" is the backup itself, and no copy of it`)
  }
  for (const path of [directory, copy]) {
    if (detectBackupFormat(path) === 'plain') continue
    throw new PbManifestError('USAGE', `"${displayPathname(path)}" is in tar format`, {
      hint: 'Only a backup in plain format can be repaired: unpack it.',
    })
  }
  if (writes) refuseCluster(directory)
}

/** Refuses to write where a server is, or was. @throws {@link PbManifestError} `IO` */
export function refuseCluster(directory: string): void {
  if (existsSync(`${directory}/postmaster.pid`)) {
    throw new PbManifestError('IO', `lock file "${displayPathname(directory)}/postmaster.pid" exists`, {
      hint: 'Is a server running in it? Only a backup can be repaired.',
    })
  }
  // No backup takes it along, and no server removes it.
  if (!existsSync(`${directory}/postmaster.opts`)) return
  throw new PbManifestError(
    'IO',
    `a server has run in "${displayPathname(directory)}": there is a "postmaster.opts"`,
    {
      hint: 'It is a cluster and no backup any more: a repair would undo what has happened in it since.',
    },
  )
}

/** The first verification, and the manifest that it was against. */
interface FirstLook {
  readonly before: VerifyReport
  /** `undefined`: the backup's own. */
  readonly manifestPath: string | undefined
}

async function lookAt(
  { directory: from }: RepairCopy,
  directory: string,
  options: RepairOptions,
): Promise<FirstLook> {
  const { manifestPath, manifestFromCopy = false } = options
  try {
    return { before: await verify(directory, options, 'verify', manifestPath), manifestPath }
  } catch (error) {
    const isOfManifest = isPbManifestError(error) && ['BAD_MANIFEST', 'IO'].includes(error.code)
    const copyManifest = `${from}/${MANIFEST}`
    if (!isOfManifest || manifestPath !== undefined || !existsSync(copyManifest)) throw error
    if (manifestFromCopy) {
      const before = await verify(directory, options, 'verify', copyManifest)
      return { before, manifestPath: copyManifest }
    }
    const hint =
      'Use --manifest-from-copy to trust the manifest of the copy, which then decides what the backup has to be, and to put it here.'
    throw new PbManifestError(error.code, error.message, { hint, cause: error })
  }
}

async function verify(
  directory: string,
  options: RepairOptions,
  step: RepairProgress['step'],
  manifestPath: string | undefined,
): Promise<VerifyReport> {
  const { allowedSigners, signerIdentity, signaturePath, ignore, noParseWal, jobs, signal, onProgress } =
    options
  const verifyOptions: { -readonly [Name in keyof VerifyOptions]: VerifyOptions[Name] | undefined } = {
    // One that lost its PG_VERSION, too.
    format: 'plain',
    manifestPath,
    allowedSigners,
    signerIdentity,
    signaturePath,
    ignore,
    noParseWal,
    jobs,
    signal,
    onProgress: onProgress && ((progress) => onProgress({ ...progress, step })),
  }
  const given = Object.entries(verifyOptions).filter(([, value]) => value !== undefined)
  return await verifyBackup(directory, Object.fromEntries(given))
}

/** Where no verification looks. */
function leftoversInWal(directory: string): ReturnType<typeof ownPathname>[] {
  try {
    return readdirSync(`${directory}/pg_wal`)
      .filter(isLeftover)
      .map((name) => ownPathname(`pg_wal/${name}`))
  } catch {
    // There is none, or the WAL that is in it cannot be read either.
    return []
  }
}

function decideVerdict(
  { verdict }: VerifyReport,
  { items, problems, write }: Pick<RepairReport, 'items' | 'problems'> & { readonly write: boolean },
): RepairReport['verdict'] {
  if (items.some(({ outcome }) => outcome === 'not-repaired')) return 'failed'
  // No state is kept here, so nothing is sampled.
  if (write || items.length === 0) return verdict === 'sampled' ? 'partial' : verdict
  return problems.length === 0 ? 'repairable' : 'failed'
}
