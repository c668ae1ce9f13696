import type { BackupHandle } from './backup-handle.js'
import { BackupState } from './backup-state.js'

/** So many backups are remembered, to say of one that it has ended and not that it never was. */
const MAX_REMEMBERED = 1000

/** Where a session finds the backup that it is to join, and where it makes known the one that it leads. */
export interface KnownBackups {
  add(handle: BackupHandle): void
  get(backupId: string): BackupHandle | undefined
}

/**
 * The backups that the sessions of a thread may join, by their ids. Each thread has its own; the thread of a worker is
 * given the handle that the thread of the leader has.
 */
export class BackupRegistry implements KnownBackups {
  readonly #backups = new Map<string, BackupHandle>()

  /** Makes a backup known. */
  add(handle: BackupHandle): void {
    if (this.#backups.size >= MAX_REMEMBERED) this.#forgetOne()
    this.#backups.set(handle.description.id, handle)
  }

  get(backupId: string): BackupHandle | undefined {
    return this.#backups.get(backupId)
  }

  /** The oldest that has ended. */
  #forgetOne(): void {
    for (const [id, { memory }] of this.#backups) {
      const { phase } = new BackupState(memory)
      if (phase === 'running' || phase === 'stopping') continue
      this.#backups.delete(id)
      return
    }
  }
}
