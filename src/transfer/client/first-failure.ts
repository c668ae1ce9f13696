import { setMaxListeners } from 'node:events'
import { PbManifestError } from '../../errors.js'

/**
 * The first failure of many things that run at the same time. It wins: what fails after it, mostly because of it, is
 * not reported. Its signal ends all the others.
 */
export class FirstFailure {
  readonly #controller = new AbortController()
  #error: unknown
  readonly #detach: () => void

  /** @param signal - of the caller; when it fires, that is a failure like any other */
  constructor(signal: AbortSignal | undefined) {
    // There are as many listeners as things that run, which Node would take for a leak.
    setMaxListeners(0, this.#controller.signal)
    const onAbort = (): void =>
      this.report(new PbManifestError('ABORTED', 'aborted', { cause: signal?.reason }))
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#detach = () => signal?.removeEventListener('abort', onAbort)
    if (signal?.aborted === true) onAbort()
  }

  /** Fires at the first failure. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get hasFailed(): boolean {
    return this.#controller.signal.aborted
  }

  /** What was reported first. */
  get error(): unknown {
    return this.#error
  }

  report(error: unknown): void {
    if (this.hasFailed) return
    this.#error = error
    this.#controller.abort(error)
  }

  /** @throws the first failure, when there is one */
  throwIfFailed(): void {
    if (this.hasFailed) throw this.#error
  }

  /**
   * Waits for something that may never come once another thing has failed.
   *
   * @throws the first failure, as soon as there is one; a rejection of `promise` counts as one
   */
  async waitFor<Value>(promise: Promise<Value>): Promise<Value> {
    return await new Promise<Value>((resolve, reject) => {
      const onFailure = (): void => reject(this.#error)
      this.signal.addEventListener('abort', onFailure, { once: true })
      // Its rejection is heard even when we do not wait for it any more: one that nobody hears ends the process.
      promise
        .then(resolve, (error: unknown) => {
          this.report(error)
          reject(this.#error)
        })
        .finally(() => this.signal.removeEventListener('abort', onFailure))
      if (this.hasFailed) onFailure()
    })
  }

  /** Lets go of the caller's signal. */
  close(): void {
    this.#detach()
  }
}
