import type { BackupTable } from './backup-table.js'

/** What an agent does just now. */
export interface AgentStatus {
  readonly connections: number
  readonly backups: number
  /** Sent by the backups that run. */
  readonly bytes: number
  /** Bytes per second, of all backups together, lately. */
  readonly rate: number
}

export function statusOf(backups: BackupTable, connections: number): AgentStatus {
  const { running } = backups
  return {
    connections,
    backups: running.length,
    bytes: sum(running.map(({ state }) => state.bytesStreamed)),
    rate: sum(running.map((backup) => backups.rateOf(backup))),
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
