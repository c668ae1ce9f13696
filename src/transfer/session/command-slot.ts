import { refused } from '../commands/refused-error.js'

/** Lets one command at a time run, as on a connection. */
export class CommandSlot {
  #running: Promise<void> | undefined
  #leave: (() => void) | undefined

  /** Resolves when the command that runs has come to its end; `undefined` when none runs. */
  get running(): Promise<void> | undefined {
    return this.#running
  }

  /** @throws {@link PbManifestError} `USAGE` when another command runs */
  enter(): void {
    if (this.#running !== undefined) throw refused('another command of this session is running')
    this.#running = new Promise((resolve) => {
      this.#leave = resolve
    })
  }

  leave(): void {
    this.#leave?.()
    this.#running = undefined
  }
}
