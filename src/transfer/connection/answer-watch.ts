import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import type { QueryArrayConfig, QueryConfig, QueryResultRow } from 'pg'
import type { Client } from './pg.js'

/** The watches of the connections that have one. */
const watches = new WeakMap<Duplex, AnswerWatch>()

/**
 * Ends a connection whose other side is silent for too long while an answer is due (`--io-timeout`). Without it a backup
 * waits as libpq does: for as long as TCP takes the other side to be there.
 */
export class AnswerWatch {
  readonly #stream: Duplex
  readonly #milliseconds: number
  #due = 0
  #bytesRead = 0
  #heardAt = 0
  #timer: NodeJS.Timeout | undefined

  private constructor(stream: Duplex, milliseconds: number) {
    this.#stream = stream
    this.#milliseconds = milliseconds
    // What was due comes no more. A timer would keep the socket, and what it reads into, for as long as silence may last.
    stream.once('close', () => clearTimeout(this.#timer))
  }

  /** @param seconds - of silence; 0: there is no limit, and no watch */
  static start(stream: Duplex, seconds: number): void {
    if (seconds > 0) watches.set(stream, new AnswerWatch(stream, seconds * 1000))
  }

  get milliseconds(): number {
    return this.#milliseconds
  }

  expect(): () => void {
    if (this.#due++ === 0) this.#begin()
    return () => {
      if (--this.#due === 0) clearTimeout(this.#timer)
    }
  }

  #begin(): void {
    this.#bytesRead = bytesReadOf(this.#stream)
    this.#heardAt = performance.now()
    this.#look()
  }

  readonly #look = (): void => {
    if (this.#stream.destroyed) return
    const bytesRead = bytesReadOf(this.#stream)
    const now = performance.now()
    if (bytesRead !== this.#bytesRead) this.#heardAt = now
    this.#bytesRead = bytesRead
    const left = this.#heardAt + this.#milliseconds - now
    if (left <= 0) this.#stream.destroy(new SilenceError(this.#milliseconds))
    // Twice at the least, so that what came just after one look counts from there.
    else this.#timer = setTimeout(this.#look, Math.min(left, this.#milliseconds / 4)).unref()
  }
}

/** Says that an answer is due on a connection, until the function that it returns is called. */
export function expectAnswer(stream: Duplex): () => void {
  return watches.get(stream)?.expect() ?? ignore
}

/** How long the other side of a connection may be silent, in milliseconds; `undefined`: for any time. */
export function longestSilence(stream: Duplex): number | undefined {
  return watches.get(stream)?.milliseconds
}

function bytesReadOf(stream: Duplex): number {
  return (stream as Socket).bytesRead
}

/** An answer did not come in time. Who was talking says whose silence it was, and to what end. */
class SilenceError extends Error {
  constructor(milliseconds: number) {
    super(`no answer for ${milliseconds / 1000} s, as long as --io-timeout allows`)
  }
}

/** Whether a connection was ended because the other side was silent for too long. */
export function isSilence(error: unknown): boolean {
  return error instanceof SilenceError
}

function ignore(): void {}

/**
 * The rows of the answer to one question; of several results, which only a server that does not keep to the protocol
 * gives, the last. An answer is due (`--io-timeout`).
 *
 * @throws what `pg` throws
 */
export async function ask<Row extends QueryResultRow | unknown[]>(
  client: Client & { readonly connection: { readonly stream: Duplex } },
  query: string | QueryConfig | QueryArrayConfig,
): Promise<readonly Row[]> {
  const hasCome = expectAnswer(client.connection.stream)
  try {
    const answer = client.query(query as string)
    const results = [(await answer) as { readonly rows?: readonly Row[] }].flat()
    return results.at(-1)?.rows ?? []
  } finally {
    hasCome()
  }
}
