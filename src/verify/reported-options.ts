/** What was asked for. Paths are absolute. No option is left out but one that has no value. */
export interface ReportedOptions {
  readonly jobs: number
  readonly ignore: readonly string[]
  readonly exitOnError: boolean
  readonly skipChecksums: boolean
  readonly pageChecksums: 'auto' | 'on' | 'off'
  readonly noParseWal: boolean
  readonly partialWal: boolean
  /** In kB/s. */
  readonly maxRate?: number
  /** How long ago a file may have been read that need not be read again. */
  readonly maxAgeSeconds?: number
  /** What part of the files was to be read: `5%`, `3/30`, or a number of bytes. */
  readonly subset?: string
  /** That checksums were to be compared which the store keeps. */
  readonly checksums?: 'stored'
  readonly manifestPath?: string
  readonly walDirectory?: string
  readonly allowedSigners?: string
  readonly signerIdentity?: string
  readonly signaturePath?: string
  /** Of an archive that came in alone: which one it was said to be. */
  readonly archive?: string
  /** What gave the parts of the backup. */
  readonly fetchCommand?: string
}
