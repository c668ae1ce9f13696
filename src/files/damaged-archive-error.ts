/** An archive does not hold what it should: its bytes are wrong, not the reading of them. */
export class DamagedArchiveError extends Error {
  /** What more is known, for example where. */
  readonly detail: string | undefined

  /** @param message - to be read after the archive's name: `it ends in the middle of member "x"` */
  constructor(message: string, detail?: string) {
    super(message)
    this.detail = detail
  }
}
