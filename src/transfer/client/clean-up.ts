/** Undoes one thing. Never throws. */
type Undo = () => Promise<void>

/** What has to be undone when a backup fails, the latest first. */
export class CleanUp {
  readonly #undos: Undo[] = []
  #keepsFiles: boolean

  /** @param keepsFiles - whether files stay where they are */
  constructor(keepsFiles: boolean) {
    this.#keepsFiles = keepsFiles
  }

  add(undo: Undo): void {
    this.#undos.push(undo)
  }

  /** Adds one that removes files. */
  addRemoval(undo: Undo): void {
    this.add(async () => {
      if (!this.#keepsFiles) await undo()
    })
  }

  /** From now on, files stay. */
  keepFiles(): void {
    this.#keepsFiles = true
  }

  async run(): Promise<void> {
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) await undo()
  }
}
