import { PbManifestError } from '../../errors.js'
import type { ClusterFacts, Tablespace } from '../cluster-files/cluster-files.js'
import type { StoppedBackup } from '../commands/replication-command.js'
import { BackupWal, chooseSlot } from './backup-wal.js'
import { ClusterCopy } from './copy-cluster.js'
import { type CopyContext, copyFiles } from './copy-files.js'
import { type ClusterListing, listCluster } from './list-cluster.js'
import { describeTablespaces, makeBackupReport } from './make-report.js'
import {
  claimTarget,
  makeWorkingDirectory,
  requireSameTablespaces,
  requireUsableTarget,
  targetModes,
  type WorkingDirectory,
} from './prepare-target.js'
import { algorithmOf, ReceivedChecksums } from './received-checksums.js'
import { isStored } from './options.js'
import {
  LABEL_OF_PBMANIFEST,
  readPriorManifest,
  startBackup,
  type StartedBackup,
  stopBackup,
  uploadPriorManifest,
} from './leader-commands.js'
import { type BackupReport, type BackupStep, backupSteps } from './report.js'
import { runCommand, type RunContext } from './run-context.js'
import { openLeaderSession } from './source/open-source.js'
import type { OpenedLeader } from './source/source.js'
import { longestBackupLabel } from '../../postgres/backup-label.js'
import { longestTablespaceMap } from '../../postgres/tablespace-map.js'
import { type RunFacts, startRun } from '../../run-facts.js'
import { StepClock } from '../../step-clock.js'
import type { TakenBackup } from './take-backup.js'
import { WrittenMembers } from './written-members.js'
import type { Pathname } from '../../files/pathname.js'
import type { BackupTarget } from '../../target/backup-target.js'
import type { FileSink } from '../../target/file-sink.js'
import { ownPathname, type SafePathname } from '../../files/safe-pathname.js'
import { BACKUP_LABEL, TABLESPACE_MAP } from '../../postgres/data-directory.js'

/** Takes a backup. What it made is undone by whoever catches its failure. */
export async function runBackup(context: RunContext): Promise<TakenBackup> {
  const { options, failure } = context
  const clock = new StepClock(backupSteps)
  const endRun = startRun()
  await requireUsableTarget(options)
  const working = await makeWorkingDirectory(options)
  context.cleanUp.add(() => working.remove())
  const prior =
    options.incremental === undefined
      ? undefined
      : await readPriorManifest(options.incremental, failure.signal)
  const leader = await openLeader(context, working)
  const { session } = leader
  const facts = await runCommand(session, failure, { command: 'IDENTIFY_CLUSTER' })
  if (prior !== undefined) await uploadPriorManifest(session, failure, prior, facts)
  const tablespaces = await runCommand(session, failure, { command: 'LIST_TABLESPACES', progress: false })
  const target = await claimTarget(context, tablespaces, facts, working)
  const run = new BackupRun({ context, leader, facts, target, clock, endRun })
  const taken = await run.take(tablespaces)
  await working.remove()
  return taken
}

async function openLeader(
  { options, failure, cleanUp }: RunContext,
  { path }: WorkingDirectory,
): Promise<OpenedLeader> {
  const { onNotice } = options
  const leader = await openLeaderSession(options, {
    fragmentDirectory: path,
    onNotice: (notice) => onNotice?.(notice),
    onLost: (error) => failure.report(error),
    signal: failure.signal,
  })
  cleanUp.add(() => leader.session.abort())
  return leader
}

interface RunParts {
  readonly context: RunContext
  readonly leader: OpenedLeader
  readonly facts: ClusterFacts
  readonly target: BackupTarget
  readonly clock: StepClock<BackupStep>
  readonly endRun: () => RunFacts
}

/** A backup whose target is there. */
class BackupRun {
  readonly #parts: RunParts
  /** For the few files that the leader copies. */
  readonly #sink: FileSink
  /** Of these. */
  #checksums: ReceivedChecksums | undefined
  /** What goes into archives. */
  readonly #members: WrittenMembers | undefined

  constructor(parts: RunParts) {
    this.#parts = parts
    this.#sink = parts.target.openSink(parts.context.failure.signal)
    const { kind } = parts.target.files
    this.#members = kind === 'tar' || kind === 'tar-stream' ? new WrittenMembers() : undefined
    parts.context.cleanUp.add(async () => this.#sink.abandon())
  }

  async take(tablespaces: readonly Tablespace[]): Promise<TakenBackup> {
    const { context, leader, clock } = this.#parts
    const wal = await this.#openWal()
    // They load and connect while the checkpoint is made; that there are too few connections shows now, and not after it.
    const copy = this.#startWorkers()
    if (leader.workers.kind === 'agent')
      this.#checksums = await ReceivedChecksums.load(algorithmOf(context.options), 'unknown')
    const start = await clock.time('start', () => startBackup(context, leader))
    await this.#parts.target.mark(start.backupId)
    const isStreaming = (context.options.walMethod ?? 'stream') === 'stream'
    if (isStreaming) context.options.onStep?.('starting background WAL receiver')
    wal.start(start)
    copy.join(start.joinable)
    await context.failure.waitFor(wal.requireFetchable(start, this.#ownCopy()))
    const listing = await clock.time('list', () => this.#list(tablespaces))
    await clock.time('copy', () => this.#copyFiles(copy, listing))
    const end = await clock.time('stop', () => this.#stop(copy.checksums))
    if (isStreaming) context.options.onStep?.('waiting for background process to finish streaming ...')
    const [walBytes] = await Promise.all([
      clock.time('wal', () => context.failure.waitFor(wal.finish({ ...start, ...end }, this.#ownCopy()))),
      clock.time('sync', () => copy.finish()),
    ])
    const manifestBytes = await clock.time('manifest', () => this.#writeManifest(start))
    const manifest = await clock.time('sync', () => this.#complete(end, manifestBytes))
    await leader.session.finish()
    const report = this.#report({ start, end, copy, walBytes, manifest, tablespaces })
    // WAL that was fetched is in them, and has to be read there.
    const isWalInside = context.options.walMethod === 'fetch'
    const archives = isWalInside ? undefined : this.#members?.conclude(this.#parts.target)
    return { report, checksums: copy.checksums, archives }
  }

  async #openWal(): Promise<BackupWal> {
    const { context, leader, facts, target } = this.#parts
    const { options, failure, cleanUp } = context
    const { walMethod = 'stream', statusInterval } = options
    const slot = chooseSlot(options)
    const wal = await BackupWal.open({
      method: walMethod,
      connection: leader.database,
      facts,
      files: target.wal,
      fileMode: targetModes(facts).fileMode,
      slot,
      statusInterval,
      failure,
      findWalSender: (applicationName) =>
        runCommand(leader.session, failure, { command: 'FIND_WAL_SENDER', applicationName }),
    })
    cleanUp.add(() => wal.close())
    cleanUp.addRemoval(async () => {
      for (const message of await wal.dropSlot()) options.onNotice?.({ severity: 'WARNING', message })
    })
    if (walMethod === 'stream' && (slot.kind === 'temporary' || slot.kind === 'created')) {
      const what = slot.kind === 'temporary' ? 'temporary replication slot' : 'replication slot'
      options.onStep?.(`created ${what} "${slot.name}"`)
    }
    return wal
  }

  #startWorkers(): ClusterCopy {
    const { context, leader, target } = this.#parts
    return new ClusterCopy({ ...context, leader, target, members: this.#members })
  }

  async #list(tablespaces: readonly Tablespace[]): Promise<ClusterListing> {
    const { context, leader, facts, target } = this.#parts
    const withSizes = context.options.onProgress !== undefined
    const listing = await listCluster(leader.session, context.failure, withSizes, targetModes(facts))
    requireSameTablespaces(tablespaces, listing.tablespaces)
    this.#members?.begin(listing.directories)
    await target.begin({
      directories: listing.directories,
      backupLabelBytes: longestBackupLabel(context.options.label ?? LABEL_OF_PBMANIFEST),
      tablespaceMapBytes: longestTablespaceMap(tablespaces),
    })
    return listing
  }

  async #copyFiles(copy: ClusterCopy, listing: ClusterListing): Promise<void> {
    await copy.copy(listing)
    // Last of all: the recovery of a backup from a standby goes by it.
    const { files } = await copyFiles(this.#ownCopy(), [listing.controlFile])
    for (const file of files) copy.record(file)
  }

  /** @param checksums - to which those of the files are added that are made here */
  async #stop(checksums: Map<Pathname, string>): Promise<StoppedBackup> {
    const { context, leader, target } = this.#parts
    const end = await stopBackup(context, leader, { tablespaceMap: target.hasTablespaceMap })
    const add = async (pathname: SafePathname, content: Buffer): Promise<void> => {
      await target.addFile(pathname, content)
      const checksum = await this.#members?.addMade(pathname, content, algorithmOf(context.options))
      if (checksum !== undefined) checksums.set(pathname, checksum)
    }
    await add(BACKUP_LABEL_FILE, end.backupLabel)
    if (target.hasTablespaceMap) await add(TABLESPACE_MAP_FILE, end.tablespaceMap)
    return end
  }

  /** For what the leader copies itself. */
  #ownCopy(): CopyContext {
    const { context, leader } = this.#parts
    return {
      session: leader.session,
      sink: this.#sink,
      verifyPageChecksums: false,
      checksums: this.#checksums,
      onBytes: () => {},
      onFile: () => {},
      onTime: () => {},
      signal: context.failure.signal,
    }
  }

  /** @returns how many bytes it has; `undefined`: there is to be none */
  async #writeManifest({ backupId }: StartedBackup): Promise<number | undefined> {
    const { context, leader, target } = this.#parts
    if (context.options.manifest === 'no') return undefined
    const command = { command: 'BUILD_MANIFEST', backupId } as const
    return await target.addManifest(await runCommand(leader.session, context.failure, command))
  }

  /** Makes everything durable, and then says that the backup is complete. */
  async #complete(end: StoppedBackup, manifestBytes: number | undefined): Promise<BackupReport['manifest']> {
    const { context, target } = this.#parts
    const { options, failure, cleanUp } = context
    const { syncMethod = 'fsync' } = options
    const sync = (options.sync ?? true) && !isStored(options)
    if (sync) options.onStep?.('syncing data to disk ...')
    await this.#sink.finish(failure.signal)
    failure.throwIfFailed()
    await target.complete({ sync: sync ? syncMethod : undefined })
    failure.throwIfFailed()
    if (end.checksumFailures > 0) {
      cleanUp.keepFiles()
      throw checksumFailure(end.checksumFailures)
    }
    if (manifestBytes !== undefined && !isStored(options))
      options.onStep?.('renaming backup_manifest.tmp to backup_manifest')
    const manifest =
      manifestBytes === undefined ? null : { path: await target.publish({ sync }), bytes: manifestBytes }
    options.onStep?.('base backup completed')
    return manifest
  }

  #report(parts: ReportInput): BackupReport {
    const { context, facts, target, clock, endRun } = this.#parts
    const { options } = context
    const { copy, walBytes, tablespaces, ...rest } = parts
    return makeBackupReport({
      run: endRun(),
      ...rest,
      ...copy.totals(),
      directory: options.directory,
      format: options.format ?? 'plain',
      compression: options.compression?.method ?? 'none',
      facts,
      tablespaces: describeTablespaces(tablespaces, target),
      wal: { method: options.walMethod ?? 'stream', bytes: walBytes },
      jobs: options.jobs,
      networkShare: copy.networkShare,
      priorManifest: options.incremental,
      seconds: clock.seconds(),
    })
  }
}

interface ReportInput {
  readonly start: StartedBackup
  readonly end: StoppedBackup
  readonly copy: ClusterCopy
  readonly walBytes: number
  readonly manifest: BackupReport['manifest']
  readonly tablespaces: readonly Tablespace[]
}

/** A server finishes such a backup, so that there is what there is, counts, and then fails it; and pg_basebackup keeps it. */
function checksumFailure(pages: number): PbManifestError {
  return new PbManifestError('SERVER', 'checksum verification failure during base backup', {
    details: [`${pages} total checksum verification ${pages === 1 ? 'failure' : 'failures'}`],
    hint: 'The files are left as they are, without a backup_manifest.',
  })
}

/** The files of a backup that the leader itself makes; a server has none. */
const BACKUP_LABEL_FILE: SafePathname = ownPathname(BACKUP_LABEL)
const TABLESPACE_MAP_FILE: SafePathname = ownPathname(TABLESPACE_MAP)
