import { formatLsn } from '../../postgres/lsn.js'
import type { ListedBackup } from '../commands/replication-command.js'
import type { BackupHandle } from '../session/backup.js'
import { BackupState } from '../session/backup-state.js'
import { WireError } from '../wire/wire-error.js'
import { type AgentEvent, withoutBackupIds } from './agent-event.js'
import { SessionPlaces } from './session-places.js'
import { sqlstates, type WireErrorData } from './wire-error-data.js'

/** So many backups that have ended are remembered, to say of one that it has and not that it never was. */
const MAX_REMEMBERED = 1000
const SAMPLE_INTERVAL_MS = 1000

/** A backup that a session of ours leads. */
export interface LedBackup {
  /** What the log calls it. */
  readonly number: number
  readonly handle: BackupHandle
  readonly state: BackupState
  readonly label: string
  readonly user: string
  /** Milliseconds, of `performance.now`. */
  readonly startedAt: number
  readonly meter: RateMeter
  /** When one of its sessions last ran a command, or bytes flowed; milliseconds as above. */
  lastActiveAt: number
  /** Of workers whose connections are over: the ends of their sessions, which seal their parts of the manifest. */
  readonly leaving: Set<Promise<unknown>>
  /** Of workers that may come back by another connection. */
  readonly places: SessionPlaces
  /** Why it is being aborted, or was. */
  failure: WireErrorData | undefined
}

/** Who starts a backup. */
interface BackupOrigin {
  readonly connection: number
  readonly user: string
  readonly label: string
}

/** All backups of the agent: those that run, and some that have ended. */
export class BackupTable {
  readonly #maxBackups: number
  readonly #onEvent: (event: AgentEvent) => void
  readonly #running = new Map<string, LedBackup>()
  readonly #ended = new Map<string, LedBackup>()
  #starting = 0
  #count = 0
  #isClosed = false
  #timer: NodeJS.Timeout | undefined

  constructor(maxBackups: number, onEvent: (event: AgentEvent) => void) {
    this.#maxBackups = maxBackups
    this.#onEvent = onEvent
  }

  /** Those that have not ended, the oldest first. */
  get running(): readonly LedBackup[] {
    return [...this.#running.values()]
  }

  /** Whether a START_BACKUP is under way. */
  get isStarting(): boolean {
    return this.#starting > 0
  }

  /** Lets no backup start any more. */
  close(): void {
    this.#isClosed = true
  }

  /**
   * Makes room for a backup that is about to start.
   *
   * @returns what gives the room back, once it has started or failed to
   * @throws {@link WireError}
   */
  reserve(): () => void {
    if (this.#isClosed) throw new WireError(sqlstates.adminShutdown, 'the agent is shutting down')
    if (this.#running.size + this.#starting >= this.#maxBackups) {
      throw new WireError(
        sqlstates.configurationLimitExceeded,
        `there are ${this.#maxBackups} backups already, as many as may run at once`,
        { hint: 'Wait until one has ended, or start the agent with a larger --max-backups.' },
      )
    }
    this.#starting++
    return () => {
      this.#starting--
    }
  }

  add(handle: BackupHandle, { connection, user, label }: BackupOrigin): LedBackup {
    const now = performance.now()
    const backup: LedBackup = {
      number: ++this.#count,
      handle,
      state: new BackupState(handle.memory),
      label,
      user,
      startedAt: now,
      meter: new RateMeter(now),
      lastActiveAt: now,
      leaving: new Set(),
      places: new SessionPlaces(),
      failure: undefined,
    }
    const { id, startLsn, startTimeline: timeline } = handle.description
    this.#running.set(id, backup)
    this.#timer ??= setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS).unref()
    this.#onEvent({
      type: 'backup-started',
      backup: backup.number,
      connection,
      user,
      label,
      startLsn: formatLsn(startLsn),
      timeline,
    })
    return backup
  }

  /** The one with this id, also when it has ended. */
  find(backupId: string): LedBackup | undefined {
    return this.#running.get(backupId) ?? this.#ended.get(backupId)
  }

  /** It is complete. Only the first end of a backup counts. */
  finish(backup: LedBackup): void {
    if (this.#forget(backup)) this.#onEvent({ type: 'backup-finished', ...totalsOf(backup) })
  }

  /** It is not going to be complete. */
  abort(backup: LedBackup, reason: WireErrorData): void {
    backup.failure ??= reason
    if (!this.#forget(backup)) return
    const { sqlstate, message } = backup.failure
    this.#onEvent({
      type: 'backup-aborted',
      sqlstate,
      reason: withoutBackupIds(message),
      ...totalsOf(backup),
    })
  }

  /** @param maySeeId - whether who asks may join this one */
  list(maySeeId: (backup: LedBackup) => boolean): readonly ListedBackup[] {
    return this.running.flatMap((backup) => {
      const { handle, label, state } = backup
      const { phase, sessions, bytesStreamed: bytes, bytesExpected } = state
      if (phase === 'aborted') return []
      return {
        backupId: maySeeId(backup) ? handle.description.id : undefined,
        label,
        workers: sessions - 1,
        bytes,
        rate: Math.round(this.rateOf(backup)),
        state: phase,
        bytesExpected: bytesExpected === 0 ? undefined : bytesExpected,
      }
    })
  }

  /** In bytes per second, lately. */
  rateOf({ meter, state }: LedBackup): number {
    return meter.rate(performance.now(), state.bytesStreamed)
  }

  #forget(backup: LedBackup): boolean {
    const { id } = backup.handle.description
    if (!this.#running.delete(id)) return false
    this.#ended.set(id, backup)
    const [oldest] = this.#ended.keys()
    if (oldest !== undefined && this.#ended.size > MAX_REMEMBERED) this.#ended.delete(oldest)
    if (this.#running.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
    return true
  }

  #sample(): void {
    const now = performance.now()
    for (const backup of this.#running.values()) {
      const { meter, state } = backup
      if (meter.sample(now, state.bytesStreamed)) backup.lastActiveAt = now
    }
  }
}

function totalsOf({ number, startedAt, state }: LedBackup): {
  backup: number
  bytes: number
  seconds: number
  sessions: number
  checksumFailures: number
} {
  return {
    backup: number,
    bytes: state.bytesStreamed,
    seconds: secondsSince(startedAt),
    sessions: state.sessions,
    checksumFailures: state.checksumFailures,
  }
}

/** To the millisecond. */
export function secondsSince(start: number): number {
  return Math.round(performance.now() - start) / 1000
}

/** Over so many milliseconds. */
const WINDOW_MS = 10_000
/** Samples are taken no closer together. */
const INTERVAL_MS = 500

interface Sample {
  readonly time: number
  readonly value: number
}

/** How fast a number has grown lately, from samples of it. */
export class RateMeter {
  #samples: readonly Sample[]

  /** @param time - in milliseconds, as for all */
  constructor(time: number) {
    this.#samples = [{ time, value: 0 }]
  }

  /** @returns whether the number has grown since the sample before */
  sample(time: number, value: number): boolean {
    const last = this.#samples.at(-1)
    if (last !== undefined && time - last.time < INTERVAL_MS) return false
    // The newest of those that are too old is where the window begins.
    const kept = this.#samples.filter(
      (_, index) => (this.#samples[index + 1]?.time ?? time) > time - WINDOW_MS,
    )
    this.#samples = [...kept, { time, value }]
    return value > (last?.value ?? 0)
  }

  /** Per second. */
  rate(time: number, value: number): number {
    const [first] = this.#samples
    if (first === undefined || time <= first.time) return 0
    return ((value - first.value) * 1000) / (time - first.time)
  }
}
