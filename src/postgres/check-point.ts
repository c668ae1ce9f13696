import type { WalLevel } from './wal-level.js'

/** The body of a checkpoint record, of which pg_control keeps a copy. */
export interface CheckPoint {
  /** Where recovery from this checkpoint begins to replay. */
  readonly redo: bigint
  readonly timeline: number
  /** The timeline before, when the checkpoint begins a new one; else equal to `timeline`. */
  readonly prevTimeline: number
  readonly fullPageWrites: boolean
  /** `undefined` before PostgreSQL 17. */
  readonly walLevel: WalLevel | undefined
  /** Whether logical decoding was enabled; `undefined` before PostgreSQL 19. */
  readonly logicalDecodingEnabled: boolean | undefined
  /** As {@link ControlFile.dataChecksumVersion}, at that moment; `undefined` but of betas of PostgreSQL 19. */
  readonly dataChecksumVersion: number | undefined
  /** The next full transaction id: the epoch in the upper 32 bits, the xid in the lower. */
  readonly nextXid: bigint
  readonly nextOid: number
  readonly nextMulti: number
  readonly nextMultiOffset: bigint
  readonly oldestXid: number
  readonly oldestXidDatabase: number
  readonly oldestMulti: number
  readonly oldestMultiDatabase: number
  /** Seconds since 1970-01-01 00:00:00 UTC. */
  readonly time: number
  readonly oldestCommitTimestampXid: number
  readonly newestCommitTimestampXid: number
  /** 0 in a shutdown checkpoint. */
  readonly oldestActiveXid: number
}
