/** Whoever keeps what is found, from one verification of a backup to the next. */
export interface VerificationKeeper {
  /**
   * Is told what is verified when its manifest has been read; before that, nothing is known of it.
   *
   * @param path - of the backup directory; absolute, without links
   * @param manifestChecksum - the manifest's own
   * @throws what then ends the verification
   */
  readonly begin: (path: string, manifestChecksum: string) => Promise<void>
}
