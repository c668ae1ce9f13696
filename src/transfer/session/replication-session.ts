import { setTimeout } from 'node:timers/promises'
import type {
  CommandResults,
  SentFileEvent,
  SessionCommand,
  SessionCommandName,
} from '../commands/replication-command.js'
import { backupAborted } from './backup.js'
import type { BackupSession, SessionOptions } from './backup-session.js'
import { type PriorBackup, readPriorManifest } from './incremental/prior-backup.js'
import { abandonFragment, joinBackup, type Membership, removeFragments, sealFragment } from './membership.js'
import { planListedFiles } from './incremental/incremental-files.js'
import { listVisibleFiles, listVisibleTablespaces, selectWalFiles } from './listings.js'
import { PageVerification } from './page-verification.js'
import { refused } from '../commands/refused-error.js'
import { sendFiles } from './send-files.js'
import { startBackup, stopBackup } from './lead-backup.js'

/** For so long, in milliseconds, an abort waits for what is under way, and for connections to close. */
const GRACE_MS = 5000

type Handlers = {
  readonly [Name in SessionCommandName]: (
    command: SessionCommand<Name>,
    signal: AbortSignal,
  ) => CommandResults[Name] | Promise<CommandResults[Name]>
}

/** A session over any maker of files: see {@link BackupSession}. */
export class ReplicationSession implements BackupSession {
  readonly #options: SessionOptions
  readonly #ending = new AbortController()
  #membership: Membership | undefined
  /** Of the manifest that was uploaded last. */
  #prior: PriorBackup | undefined
  #pages: PageVerification | undefined
  readonly #slot = new CommandSlot()
  /** The stream that was handed out last. */
  #stream: AsyncGenerator | undefined
  #isEnded = false
  #aborting: Promise<void> | undefined

  constructor(options: SessionOptions) {
    this.#options = options
  }

  async run<Name extends SessionCommandName>(
    command: SessionCommand<Name>,
    signal?: AbortSignal,
  ): Promise<CommandResults[Name]> {
    const { signal: ending } = this.#ending
    const both = signal === undefined ? ending : AbortSignal.any([signal, ending])
    const handle = this.#handlers[command.command]
    return await this.#alone(async () => await handle(command, both))
  }

  async finish(): Promise<void> {
    if (this.#isEnded) return
    if (this.#slot.running !== undefined) {
      await this.abort()
      throw refused('the session was ended while a command was running, and so aborted')
    }
    if (this.#membership?.leader?.isComplete === false) return await this.abort()
    await this.#leave()
  }

  async abort(): Promise<void> {
    if (!this.#isEnded) this.#aborting = this.#abort(this.#slot.running)
    await this.#aborting
  }

  async #leave(): Promise<void> {
    this.#isEnded = true
    const membership = this.#membership
    try {
      if (membership !== undefined && membership.leader === undefined) await sealFragment(membership)
    } finally {
      await this.#close()
    }
  }

  /** @param running - the command that has to come to its end before files are removed */
  async #abort(running: Promise<void> | undefined): Promise<void> {
    this.#isEnded = true
    const membership = this.#membership
    const isLeader = membership?.leader !== undefined
    if (isLeader) membership.backup.state.move(['running', 'stopping', 'stopped'], 'aborted')
    this.#ending.abort()
    // A stream that nobody reads from waits at a `yield`; this lets it end.
    this.#stream?.return(undefined).catch(() => {})
    // A command that waits for the server ends when its connection does.
    await Promise.all([withinGrace(running), withinGrace(this.#close())])
    if (membership !== undefined) await abandonFragment(membership)
    if (isLeader) await removeFragments(membership.backup)
  }

  readonly #handlers: Handlers = {
    IDENTIFY_CLUSTER: async () => {
      const cluster = this.#membership?.backup.description.cluster ?? (await this.#options.mode?.facts())
      if (cluster === undefined) throw notInBackup()
      return cluster
    },
    FIND_WAL_SENDER: async ({ applicationName }) => {
      if (this.#options.mode === undefined) throw refused('this session can only join a backup')
      return await this.#options.mode.findWalSender(applicationName)
    },
    UPLOAD_MANIFEST: async ({ manifest }, signal) => {
      this.#requireNoMembership()
      const { mode } = this.#options
      if (mode === undefined) throw refused('this session can only join a backup')
      if (manifest === undefined) throw refused('no manifest was sent')
      this.#prior = undefined
      this.#prior = await readPriorManifest(manifest, await mode.facts(), signal)
      return undefined
    },
    START_BACKUP: async (command, signal) => {
      this.#requireNoMembership()
      const started = await startBackup(command, this.#options, { prior: this.#prior, signal })
      this.#prior = undefined
      this.#membership = await this.#admit(started)
      const { id, startLsn, startTimeline } = this.#membership.backup.description
      return { backupId: id, startLsn, startTimeline }
    },
    JOIN_BACKUP: async (command) => {
      this.#requireNoMembership()
      this.#membership = await this.#admit(await joinBackup(command, this.#options.registry))
      return { worker: this.#membership.worker }
    },
    LIST_TABLESPACES: async ({ progress }, signal) => {
      const backup = progress ? this.#requireMembership().backup : undefined
      const plan = backup?.plan
      const tablespaces = await listVisibleTablespaces(this.#options, { withSizes: progress, signal, plan })
      if (backup !== undefined) {
        backup.state.bytesExpected = tablespaces.reduce((total, { bytes = 0 }) => total + bytes, 0)
      }
      return tablespaces
    },
    LIST_FILES: async ({ tablespace }, signal) => {
      const { plan } = this.#requireMembership().backup
      return planListedFiles(await listVisibleFiles(this.#options, tablespace, signal), plan)
    },
    LIST_WAL_FILES: async (bounds) => {
      const { cluster } = this.#requireMembership().backup.description
      return selectWalFiles(await this.#options.files.listWalFiles(), bounds, cluster.walSegmentSize)
    },
    SEND_FILE: ({ files, verifyChecksums, sizes = false }, signal) => {
      const membership = this.#requireMembership()
      const { hasDataChecksums } = membership.backup.description.cluster
      const pages = verifyChecksums && hasDataChecksums ? this.#verification(membership) : undefined
      const options = { source: this.#options.files, membership, pages, sizes, signal }
      return this.#handOut(this.#streaming<SentFileEvent>(() => sendFiles(files, options)))
    },
    STOP_BACKUP: async (command) => await stopBackup(this.#requireMembership(), command),
    BUILD_MANIFEST: async ({ backupId }, signal) => {
      const membership = this.#requireMembership()
      // Only a leader needs it, and it brings the schemas along: 0.2 s in every worker.
      const { buildManifest } = await import('./build-manifest.js')
      return this.#handOut(this.#streaming<Buffer>(() => buildManifest(membership, backupId, signal)))
    },
    LEAVE_BACKUP: async () => {
      if (this.#requireMembership().leader?.isComplete === false) {
        throw refused(
          'the session that started the backup cannot leave it before it is complete',
          'ABORT_BACKUP ends it.',
        )
      }
      await this.#leave()
      return undefined
    },
    ABORT_BACKUP: async () => {
      // Like a ROLLBACK without a transaction: whoever gives up need not know how far it has come.
      if (this.#membership === undefined) return undefined
      const { leader } = this.#membership
      if (leader === undefined) throw refused('only the session that started the backup can abort it')
      if (leader.isComplete) throw refused('the backup is complete')
      // This is the command that runs.
      await this.#abort(undefined)
      return undefined
    },
  }

  /** A membership that came about while the session was being aborted has nobody to end it. */
  async #admit(membership: Membership): Promise<Membership> {
    if (!this.#isEnded) return membership
    const { backup, leader } = membership
    if (leader !== undefined) backup.state.move(['running'], 'aborted')
    await abandonFragment(membership)
    throw backupAborted(backup.description)
  }

  #requireNoMembership(): void {
    if (this.#membership !== undefined) throw refused('this session is part of a backup already')
  }

  #requireMembership(): Membership {
    if (this.#membership === undefined) throw notInBackup()
    return this.#membership
  }

  #verification({ backup }: Membership): PageVerification {
    const { startLsn, cluster } = backup.description
    this.#pages ??= new PageVerification({
      startLsn,
      majorVersion: cluster.majorVersion,
      rereadPage: (pathname, offset) => this.#options.files.rereadPage(pathname, offset),
      hasDataChecksums: () => this.#options.files.hasDataChecksums(),
      warn: (message) => this.#options.onNotice?.({ severity: 'WARNING', message }),
      onFailure: () => backup.state.addChecksumFailure(),
    })
    return this.#pages
  }

  /** Runs one thing, unless another is under way or the session is over. */
  async #alone<Result>(act: () => Promise<Result>): Promise<Result> {
    this.#requireOpen()
    this.#slot.enter()
    try {
      return await act()
    } finally {
      this.#slot.leave()
    }
  }

  #handOut<Event>(stream: AsyncGenerator<Event>): AsyncGenerator<Event> {
    this.#stream = stream
    return stream
  }

  /** A stream counts as running from its first event to its last. */
  async *#streaming<Event>(open: () => AsyncGenerator<Event>): AsyncGenerator<Event> {
    this.#requireOpen()
    this.#slot.enter()
    try {
      yield* open()
    } finally {
      this.#slot.leave()
    }
  }

  #requireOpen(): void {
    if (this.#isEnded) throw refused('the session has ended')
  }

  async #close(): Promise<void> {
    const { files, mode } = this.#options
    await Promise.all([files.close(), mode?.close()])
  }
}

/** Lets one command at a time run, as on a connection. */
class CommandSlot {
  #running: Promise<void> | undefined
  #leave: (() => void) | undefined

  /** Resolves when the command that runs has come to its end; `undefined` when none runs. */
  get running(): Promise<void> | undefined {
    return this.#running
  }

  /** @throws {@link PbManifestError} `USAGE` when another command runs */
  enter(): void {
    if (this.#running !== undefined) throw refused('another command of this session is running')
    this.#running = new Promise((resolve) => {
      this.#leave = resolve
    })
  }

  leave(): void {
    this.#leave?.()
    this.#running = undefined
  }
}

function notInBackup(): Error {
  return refused('this session has neither started nor joined a backup')
}

/** Waits for it, whatever comes of it, but not forever. */
async function withinGrace(work: Promise<unknown> | undefined): Promise<void> {
  if (work === undefined) return
  const timeout = new AbortController()
  await Promise.race([
    work.catch(() => {}),
    setTimeout(GRACE_MS, undefined, { signal: timeout.signal, ref: false }).catch(() => {}),
  ])
  timeout.abort()
}
