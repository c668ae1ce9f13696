/** Which files' content the threads look at. Plain data: it crosses threads. */
export interface ContentRules {
  readonly hasPageChecksums: boolean
  /** Whether there are incremental files, or may be. */
  readonly hasIncrementalFiles: boolean
  /** Pages of a whole file of a relation. */
  readonly segmentPages: number
}
