import type { SafePathname } from '../files/safe-pathname.js'

/** A file that a backup is to have. Plain data: it crosses threads. */
export interface TargetFile {
  readonly pathname: SafePathname
  /** Its permission bits here. */
  readonly mode: number
}

/** What is known of a file when its bytes begin to come. */
export interface AnnouncedFile {
  /** Exactly as many bytes will come. */
  readonly size: number
  /** Seconds since 1970. */
  readonly modified: number
}

/**
 * Where one worker's files go, one after the other: `begin`, any number of `write`, `end`; or `abandon` instead of the rest.
 *
 * What returns a promise is to be waited for before the next call; nothing is waited for where there is none.
 */
export interface FileSink {
  /** Whether files have to be announced: a place has to be found for them before their bytes come. */
  readonly needsSizes: boolean
  /** @throws {@link PbManifestError} `IO`, as do the others */
  begin(file: TargetFile, announced: AnnouncedFile | undefined): void | Promise<void>
  /** The bytes are the caller's again when it returns, or when what it returns is settled. */
  write(bytes: Buffer): void | Promise<void>
  end(): void | Promise<void>
  /**
   * Takes back a file that has not come to its end. It begins again, as the next one: what it was on its way over was lost.
   */
  retract(): void
  /** Leaves a file that does not come to its end, and all else. Never throws. */
  abandon(): void
  /** There are no more files: what was written is durable when this resolves, where that was asked for. */
  finish(signal: AbortSignal): Promise<void>
}
