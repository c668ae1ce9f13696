import type { WireError } from '../wire-error.js'
import { tooManyConnections, tooManyStrangers } from './connection-errors.js'

/** How many clients of one listener there may be. */
export interface PlaceLimits {
  /** Of those who were let in. */
  readonly maxConnections: number
  /** Of those who have not shown who they are. */
  readonly maxUnauthenticated: number
}

/** A client that has connected. */
export interface Stranger {
  /** The machine it comes from. */
  readonly host: string
  /** Has it gone at once, so that its descriptor is free. */
  readonly drop: (error: WireError) => void
}

/** What one client has of the places. */
export interface Place {
  /**
   * The client was let in.
   *
   * @throws {@link WireError} `FATAL` when there are too many
   */
  admit(): void
  /** The connection is closed. */
  leave(): void
}

/**
 * The places of one listener. Who was let in keeps his, whatever comes; and strangers, however many, lock nobody out: for the
 * next one, the oldest goes, of the host that has the most. So a single host can only drive out itself.
 */
export class ConnectionPlaces {
  readonly #limits: PlaceLimits
  readonly #admitted = new Set<Stranger>()
  /** The oldest first. */
  readonly #strangers = new Set<Stranger>()

  constructor(limits: PlaceLimits) {
    this.#limits = limits
  }

  /** A client has connected. */
  enter(stranger: Stranger): Place {
    this.#strangers.add(stranger)
    if (this.#strangers.size > this.#limits.maxUnauthenticated) this.#dropOne()
    return {
      admit: () => {
        if (this.#admitted.size >= this.#limits.maxConnections) throw tooManyConnections()
        this.#strangers.delete(stranger)
        this.#admitted.add(stranger)
      },
      leave: () => {
        this.#strangers.delete(stranger)
        this.#admitted.delete(stranger)
      },
    }
  }

  #dropOne(): void {
    const counts = new Map<string, number>()
    for (const { host } of this.#strangers) counts.set(host, (counts.get(host) ?? 0) + 1)
    const most = Math.max(...counts.values())
    for (const stranger of this.#strangers) {
      if (counts.get(stranger.host) !== most) continue
      this.#strangers.delete(stranger)
      return stranger.drop(tooManyStrangers())
    }
  }
}
