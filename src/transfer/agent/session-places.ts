import { RefusedError } from '../commands/refused-error.js'
import type { BackupState } from '../session/backup-state.js'
import { requireRunning } from '../session/membership.js'
import { WireError } from '../wire/wire-error.js'
import { sqlstates } from './wire-error-data.js'

/** A connection whose session may be put in the place of another one. */
export interface PlaceHolder {
  /** Ends the connection; resolves when nothing of its session is at work any more. Never throws. */
  yieldPlace(): Promise<void>
}

/** One worker's place in a backup. */
export interface WorkerPlace {
  readonly worker: number
  holder: PlaceHolder
  /** Whether its part of the manifest is complete. */
  hasLeft: boolean
}

/**
 * The places of workers whose sessions have ids: where a client's connection is lost, it comes back by another one, often
 * before we know that the first is gone. So the session that comes last has the place, and the one before it is ended.
 */
export class SessionPlaces {
  readonly #places = new Map<string, WorkerPlace>()

  /**
   * Gives the place of this id, a new one or that of another session, which has ended then.
   *
   * @returns `undefined` when the backup takes in nobody
   * @throws {@link PbManifestError} `USAGE` when it is too late for that, {@link WireError} when yet another session came
   */
  async take(
    sessionId: string,
    {
      holder,
      backupId,
      state,
    }: { readonly holder: PlaceHolder; readonly backupId: string; readonly state: BackupState },
  ): Promise<WorkerPlace | undefined> {
    const place = this.#places.get(sessionId)
    if (place === undefined) return this.#add(sessionId, holder, state)
    requireNotLeft(place)
    requireRunning(backupId, state)
    const former = place.holder
    place.holder = holder
    if (former !== holder) await former.yieldPlace()
    // What it was just doing may have been to leave.
    requireNotLeft(place)
    if (place.holder === holder) return place
    throw new WireError(sqlstates.queryCanceled, 'another session has taken the place of this one')
  }

  #add(sessionId: string, holder: PlaceHolder, state: BackupState): WorkerPlace | undefined {
    const worker = state.join()
    if (worker === undefined) return undefined
    const place = { worker, holder, hasLeft: false }
    this.#places.set(sessionId, place)
    return place
  }
}

function requireNotLeft({ worker, hasLeft }: WorkerPlace): void {
  if (hasLeft) throw new RefusedError('already-done', `worker ${worker} has left the backup already`)
}
