import type { ChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import type { ClusterFacts } from '../cluster-files/cluster-files.js'

/** What does not change while a backup runs. */
export interface BackupDescription {
  /** 32 hexadecimal digits. */
  readonly id: string
  readonly startLsn: bigint
  readonly startTimeline: number
  readonly cluster: ClusterFacts
  /** In kB/s, over all sessions. */
  readonly maxRate: number | undefined
  readonly manifest: 'yes' | 'no' | 'force-encode'
  readonly checksumAlgorithm: ChecksumAlgorithm
  /** Where the fragments are until they are merged. */
  readonly fragmentDirectory: string
}

/** The memory of a backup, shared by all threads. */
export interface BackupMemory {
  /** Int32: see `backup-state.ts`. */
  readonly control: SharedArrayBuffer
  /** BigInt64: see `backup-state.ts`. */
  readonly counters: SharedArrayBuffer
}

/** A backup as another thread gets it: plain data and shared memory, which a message carries. */
export interface BackupHandle {
  readonly description: BackupDescription
  readonly memory: BackupMemory
}
