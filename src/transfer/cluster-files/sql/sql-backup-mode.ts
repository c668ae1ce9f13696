import { isPbManifestError, PbManifestError } from '../../../errors.js'
import { findLabelFault, parseBackupLabel } from '../../../postgres/backup-label.js'
import { BACKUP_LABEL } from '../../../postgres/data-directory.js'
import { parseLsn } from '../../../postgres/lsn.js'
import {
  parseTimelineHistory,
  timelineAt,
  timelineBefore,
  type TimelineHistoryEntry,
  timelineHistoryFileName,
  timelineWithoutHistory,
} from '../../../postgres/timeline-history.js'
import { nearestVersion } from '../../../postgres/versions.js'
import type { WalSenderSearch } from '../../connection/gate/connect-replication.js'
import {
  describeServer,
  serverDescription,
  type ServerDescription,
} from '../../connection/gate/server-identity.js'
import type {
  BackupEnd,
  BackupMode,
  BackupStart,
  ClusterFacts,
  ServerDirectory,
  WalSummarizerState,
} from '../cluster-files.js'
import { readClusterFacts } from './cluster-facts.js'
import { copiedValue } from './copied-rows.js'
import { pathArray } from './path-expressions.js'
import { type Connect, SqlConnection } from './sql-connection.js'

/** More is no timeline history. */
const LONGEST_HISTORY = 1 << 20

/** Without those that the data directory itself is, and without databases whose DROP DATABASE was cut short. */
const DIRECTORIES = `
  SELECT oid::text AS tablespace, NULL AS database FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')
   UNION ALL
  SELECT CASE WHEN spcname <> 'pg_default' THEN dattablespace::text END, pg_database.oid::text
    FROM pg_catalog.pg_database JOIN pg_catalog.pg_tablespace ON pg_tablespace.oid = dattablespace
   WHERE datconnlimit <> -2`

/** Backup mode of a running server of PostgreSQL 13 or newer, held by one connection. */
export class SqlBackupMode implements BackupMode {
  readonly #connection: SqlConnection
  #facts: ClusterFacts | undefined
  #start: BackupStart | undefined
  #watch: PromotionWatch | undefined
  #reportLoss: (error: PbManifestError) => void = () => {}
  readonly lost: Promise<PbManifestError>

  private constructor(connection: SqlConnection) {
    this.#connection = connection
    this.lost = new Promise((resolve) => {
      this.#reportLoss = resolve
    })
    void connection.lost.then(this.#reportLoss)
  }

  /** @throws {@link PbManifestError} `SERVER` */
  static async open(connect: Connect): Promise<SqlBackupMode> {
    return new SqlBackupMode(await SqlConnection.open(connect))
  }

  async facts(): Promise<ClusterFacts> {
    this.#facts ??= await readClusterFacts(this.#connection)
    return this.#facts
  }

  /** By its application name, which every role may see. */
  async findWalSender(applicationName: string): Promise<WalSenderSearch> {
    const [row] = await this.#connection.rows<ServerDescription & { readonly found: boolean }>(
      `SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE application_name = $1) AS found, ${serverDescription}`,
      [applicationName],
    )
    return { found: row?.found === true, server: row === undefined ? 'another server' : describeServer(row) }
  }

  async start({ label, fast }: { readonly label: string; readonly fast: boolean }): Promise<BackupStart> {
    const labelFault = findLabelFault(label)
    if (labelFault !== undefined) throw new PbManifestError('USAGE', labelFault)
    const { majorVersion, isInRecovery } = await this.facts()
    const [row] = await this.#connection.rows<{ lsn: string }>(
      `SELECT lsn::text FROM ${nearestVersion(majorVersion).backupFunctions.start} AS lsn`,
      [label, fast],
      { takesItsTime: true },
    )
    const startLsn = lsnOf(row?.lsn)
    this.#start = { startLsn, startTimeline: await this.#timelineOfStart(startLsn) }
    if (isInRecovery) this.#watch = new PromotionWatch(this.#connection, this.#reportLoss)
    return this.#start
  }

  async stop({ waitForArchive }: { readonly waitForArchive: boolean }): Promise<BackupEnd> {
    await this.#watch?.end()
    const { majorVersion, isInRecovery } = await this.facts()
    const [row] = await this.#connection.rows<{ lsn: string; label: string; map: string }>(
      `SELECT lsn::text, pg_catalog.encode(pg_catalog.textsend(labelfile), 'hex') AS label,
              pg_catalog.encode(pg_catalog.textsend(spcmapfile), 'hex') AS map
         FROM ${nearestVersion(majorVersion).backupFunctions.stop}`,
      [waitForArchive],
      { takesItsTime: true },
    )
    const endLsn = lsnOf(row?.lsn)
    const backupLabel = Buffer.from(row?.label ?? '', 'hex')
    const { startTimeline } = this.#checkLabel(backupLabel)
    return {
      endLsn,
      // A primary keeps its timeline.
      endTimeline: isInRecovery ? await this.#timelineOfEnd(endLsn) : startTimeline,
      backupLabel,
      tablespaceMap: Buffer.from(row?.map ?? '', 'hex'),
    }
  }

  async directories(): Promise<readonly ServerDirectory[]> {
    const rows = await this.#connection.rows<{ tablespace: string | null; database: string | null }>(
      DIRECTORIES,
    )
    return rows.map(({ tablespace, database }) => ({
      tablespace: tablespace === null ? undefined : Number(tablespace),
      database: database === null ? undefined : Number(database),
    }))
  }

  async timelineHistory(timeline: number): Promise<Buffer | undefined> {
    const query = `
      SELECT pg_catalog.pg_read_binary_file(path, 0, ${String(LONGEST_HISTORY)}, true)
        FROM pg_catalog.unnest(${pathArray([`pg_wal/${timelineHistoryFileName(timeline)}`])}) AS path`
    const content = await copiedValue(this.#connection, query)
    return content.length > 0 ? content : undefined
  }

  async walSummarizer(): Promise<WalSummarizerState> {
    const [row] = await this.#connection.rows<{ state: string; summarized: string; pending: string }>(`
      SELECT pg_catalog.current_setting('summarize_wal') AS state, summarized_lsn::text AS summarized, pending_lsn::text AS pending
        FROM pg_catalog.pg_get_wal_summarizer_state()`)
    return {
      isOn: row?.state === 'on',
      summarizedLsn: lsnOf(row?.summarized),
      pendingLsn: lsnOf(row?.pending),
    }
  }

  async abandon(): Promise<void> {
    await this.close()
  }

  async close(): Promise<void> {
    await this.#connection.close()
    await this.#watch?.end()
  }

  async #timelineOfStart(startLsn: bigint): Promise<number> {
    const [row] = await this.#connection.rows<{ redo: string; timeline: number }>(
      'SELECT redo_lsn::text AS redo, timeline_id AS timeline FROM pg_catalog.pg_control_checkpoint()',
    )
    const timeline = row?.timeline ?? 0
    if (lsnOf(row?.redo) === startLsn) return timeline
    // There was another checkpoint since, which on a standby may be on another timeline.
    return timelineAt(startLsn, await this.#readHistory(timeline)) ?? timeline
  }

  async #timelineOfEnd(endLsn: bigint): Promise<number> {
    const [row] = await this.#connection.rows<{ lsn: string; timeline: number }>(
      'SELECT min_recovery_end_lsn::text AS lsn, min_recovery_end_timeline AS timeline FROM pg_catalog.pg_control_recovery()',
    )
    const timeline = row?.timeline ?? 0
    if (lsnOf(row?.lsn) === endLsn) return timeline
    // Replay went on since the backup ended, maybe onto another timeline.
    return timelineBefore(endLsn, await this.#readHistory(timeline)) ?? timeline
  }

  async #readHistory(timeline: number): Promise<readonly TimelineHistoryEntry[]> {
    const bytes = await this.timelineHistory(timeline)
    if (bytes === undefined) return timelineWithoutHistory(timeline)
    return parseTimelineHistory(bytes.toString('latin1'), timeline, timelineHistoryFileName(timeline))
  }

  /** What the server wrote into the label is what counts when it is restored. */
  #checkLabel(bytes: Buffer): BackupStart {
    const label = parseBackupLabel(bytes.toString('latin1'), BACKUP_LABEL)
    const { startLsn, startSegmentTimeline: startTimeline } = label
    const start = this.#start
    if (start !== undefined && (start.startLsn !== startLsn || start.startTimeline !== startTimeline)) {
      throw new PbManifestError(
        'SERVER',
        'backup_label names another start of the backup than the server did before',
      )
    }
    return { startLsn, startTimeline }
  }
}

function lsnOf(text: string | undefined): bigint {
  const lsn = parseLsn(text ?? '')
  if (lsn === undefined) throw new PbManifestError('SERVER', `"${text ?? ''}" of the server is no LSN`)
  return lsn
}

const INTERVAL_MS = 5000

/**
 * Looks now and then whether the standby that is backed up still is one: its promotion ends the backup, which its own
 * functions say only when the backup is stopped, maybe hours later.
 */
class PromotionWatch {
  readonly #connection: SqlConnection
  readonly #report: (error: PbManifestError) => void
  #timer: NodeJS.Timeout | undefined
  #look: Promise<void> | undefined

  constructor(connection: SqlConnection, report: (error: PbManifestError) => void) {
    this.#connection = connection
    this.#report = report
    this.#timer = setInterval(() => {
      this.#look ??= this.#lookOnce()
    }, INTERVAL_MS)
    this.#timer.unref()
  }

  /** Resolves when the connection is free again. */
  async end(): Promise<void> {
    clearInterval(this.#timer)
    await this.#look
  }

  async #lookOnce(): Promise<void> {
    try {
      const [row] = await this.#connection.rows<{ recovery: boolean }>(
        'SELECT pg_catalog.pg_is_in_recovery() AS recovery',
      )
      if (row?.recovery === false) this.#report(promoted())
    } catch (error) {
      if (isPbManifestError(error)) this.#report(error)
    } finally {
      this.#look = undefined
    }
  }
}

/** In the server's words. @see src/backend/access/transam/xlog.c (`do_pg_backup_stop`) */
function promoted(): PbManifestError {
  return new PbManifestError('SERVER', 'the standby was promoted during online backup', {
    hint: 'This means that the backup being taken is corrupt and should not be used. Try taking another online backup.',
  })
}
