import { randomBytes } from 'node:crypto'
import { PbManifestError } from '../../errors.js'
import { ownPathname, type SafePathname } from '../../files/safe-pathname.js'
import {
  parseWalSegmentName,
  segmentHoldingEnd,
  segmentHoldingStart,
  type WalFileName,
  walSegmentName,
} from '../../postgres/wal-segment.js'
import type { WalFiles } from '../../target/file-sink.js'
import type { BackupStart, ClusterFacts, WalFile } from '../cluster-files/cluster-files.js'
import type { ConnectionOptions } from '../connection/settings/connection-options.js'
import type { ReplicationProof } from '../connection/gate/connect-replication.js'
import { type CopyContext, copyFiles } from './copy-files.js'
import type { FirstFailure } from './first-failure.js'
import type { BackupOptions, WalMethod } from './options.js'
import type { BackupPositions } from '../../manifest/wal-ranges.js'
import type { WalSlot } from './wal-receiver/wal-sender-commands.js'
import { WalReceiver } from './wal-receiver/wal-receiver.js'
import { timelineHistoryFileName } from '../../postgres/timeline-history.js'

/** What the WAL of a backup needs to know. */
interface BackupWalOptions {
  readonly method: WalMethod
  readonly connection: ConnectionOptions
  readonly facts: ClusterFacts
  /** Where it goes. */
  readonly files: WalFiles
  readonly fileMode: number
  readonly slot: WalSlot
  /** Seconds between two status updates. */
  readonly statusInterval: number | undefined
  readonly failure: FirstFailure
  readonly findWalSender: ReplicationProof['findWalSender']
}

/** The WAL that comes with a backup, by any method. */
export class BackupWal {
  readonly #options: BackupWalOptions
  #receiver: WalReceiver | undefined
  #startLsn = 0n
  /** What {@link finish} does: it may be given up before it is over. */
  #finishing: Promise<unknown> | undefined

  private constructor(options: BackupWalOptions) {
    this.#options = options
  }

  /**
   * Prepares for it. This comes before backup mode begins, so that the slot keeps all WAL from there.
   *
   * @throws {@link PbManifestError} `SERVER` or `ABORTED`
   */
  static async open(options: BackupWalOptions): Promise<BackupWal> {
    const wal = new BackupWal(options)
    if (options.method !== 'stream') return wal
    const { connection, files, slot, facts, findWalSender } = options
    const { systemIdentifier, majorVersion, walSegmentSize } = facts
    wal.#receiver = await WalReceiver.open({
      connection,
      files,
      slot,
      proof: { systemIdentifier, majorVersion, findWalSender },
      walSegmentSize,
      ...(options.statusInterval !== undefined && { statusInterval: options.statusInterval * 1000 }),
      signal: options.failure.signal,
    })
    return wal
  }

  /** The backup has started: begins to receive. A failure is reported as soon as it happens. */
  start({ startLsn, startTimeline }: BackupStart): void {
    this.#startLsn = startLsn
    this.#receiver
      ?.start(startLsn, startTimeline)
      .catch((error: unknown) => this.#options.failure.report(error))
  }

  /**
   * Looks, before anything is copied, whether the WAL that is to be fetched at the end can be seen: pg_wal may lead nowhere
   * where files are read.
   *
   * @throws {@link PbManifestError} `SERVER`
   */
  async requireFetchable(
    { startLsn, startTimeline }: BackupStart,
    { session, signal }: CopyContext,
  ): Promise<void> {
    if (this.#options.method !== 'fetch') return
    const { walSegmentSize } = this.#options.facts
    const listed = await session.run({ command: 'LIST_WAL_FILES', startLsn, endLsn: undefined }, signal)
    const first = walSegmentName(startTimeline, segmentHoldingStart(startLsn, walSegmentSize), walSegmentSize)
    if (listed.some(({ name }) => name === first)) return
    throw new PbManifestError(
      'SERVER',
      `WAL segment ${first}, in which the backup starts, is not in pg_wal`,
      {
        hint: 'Look where pg_wal leads to where the files are read, or receive WAL while files are copied (-X stream, the default).',
      },
    )
  }

  /**
   * The backup has been stopped: resolves when its WAL is here.
   *
   * @returns how many bytes of WAL came
   */
  async finish(positions: BackupPositions, context: CopyContext): Promise<number> {
    const finishing = this.#finish(positions, context)
    this.#finishing = finishing
    return await finishing
  }

  /**
   * After a failure: drops the slot, if this run made one that would stay. Never throws.
   *
   * @returns why it could not be dropped, a line
   */
  async dropSlot(): Promise<readonly string[]> {
    const { slot } = this.#options
    if (this.#receiver === undefined || slot.kind !== 'created') return []
    try {
      await this.#receiver.dropSlot(slot.name)
      return []
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      return [`replication slot "${slot.name}" was made, and is left on the server: ${reason}`]
    }
  }

  /** Ends the connection, and with it a temporary slot, and waits until nothing is written any more. Never throws. */
  async close(): Promise<void> {
    await this.#receiver?.close()
    await this.#finishing?.catch(() => {})
  }

  async #finish(positions: BackupPositions, context: CopyContext): Promise<number> {
    const { method } = this.#options
    switch (method) {
      case 'none':
        return 0
      case 'stream':
        await this.#receiver?.stop(positions.endLsn)
        return Number(positions.endLsn - this.#startLsn)
      case 'fetch':
        return await this.#fetch(positions, context)
      default:
        return method satisfies never
    }
  }

  async #fetch(positions: BackupPositions, context: CopyContext): Promise<number> {
    const { session, signal } = context
    const { startLsn, endLsn } = positions
    const listed = await session.run({ command: 'LIST_WAL_FILES', startLsn, endLsn }, signal)
    const needed = requireWalFiles(listed, positions, this.#options.facts.walSegmentSize)
    const names = new Map(needed.map(({ name }) => [pathnameOf(name), name]))
    const { fileMode } = this.#options
    const wanted = needed.map(({ name, size }) => ({ pathname: pathnameOf(name), size, mode: fileMode }))
    const { files, vanished } = await copyFiles(context, wanted)
    for (const pathname of vanished) throw removed(names.get(pathname) ?? pathname)
    // They are complete and archived already, as far as the server that starts on the backup is concerned.
    for (const name of names.values()) await this.#options.files.markDone(name)
    return files.reduce((sum, { size }) => sum + size, 0)
  }
}

/** The slot that these options mean. */
export function chooseSlot({
  slot,
  createSlot = false,
  useTemporarySlot = true,
}: Pick<BackupOptions, 'slot' | 'createSlot' | 'useTemporarySlot'>): WalSlot {
  if (slot !== undefined) return { kind: createSlot ? 'created' : 'existing', name: slot }
  if (!useTemporarySlot) return { kind: 'none' }
  return { kind: 'temporary', name: `pbmanifest_${randomBytes(8).toString('hex')}` }
}

function pathnameOf(name: WalFileName): SafePathname {
  return ownPathname(`pg_wal/${name}`)
}

/**
 * The files of pg_wal that the backup needs, of those that the server has.
 *
 * @throws {@link PbManifestError} `SERVER` when one of them is gone
 * @see src/backend/backup/basebackup.c (`perform_base_backup`)
 */
export function requireWalFiles(
  files: readonly WalFile[],
  positions: BackupPositions,
  segmentSize: number,
): readonly WalFile[] {
  const { startLsn, startTimeline, endLsn, endTimeline } = positions
  const first = segmentHoldingStart(startLsn, segmentSize)
  const last = segmentHoldingEnd(endLsn, segmentSize)
  const present = new Set(files.map(({ name }) => parseWalSegmentName(name, segmentSize)?.segmentNumber))
  for (let number = first; number <= last; number++) {
    if (!present.has(number)) throw removed(walSegmentName(startTimeline, number, segmentSize))
  }
  // The ends have to be of their timelines; between them, any of several with the same number may be the right one.
  requireFile(files, walSegmentName(startTimeline, first, segmentSize))
  requireFile(files, walSegmentName(endTimeline, last, segmentSize))
  if (endTimeline !== startTimeline) requireFile(files, timelineHistoryFileName(endTimeline))
  for (const { name, size } of files) {
    if (name.length === 24 && size !== segmentSize) {
      throw new PbManifestError('SERVER', `unexpected WAL file size "${name}"`)
    }
  }
  return files
}

/** What the server says when a segment was removed or recycled before it could be sent. */
function removed(name: string): PbManifestError {
  return new PbManifestError('SERVER', `requested WAL segment ${name} has already been removed`, {
    hint: 'Receive WAL while files are copied (-X stream, the default), or have the server keep more of it (wal_keep_size).',
  })
}

function requireFile(files: readonly WalFile[], name: string): void {
  if (!files.some((file) => file.name === name)) throw removed(name)
}
