import type { ContentFindings } from './content-findings.js'

/** The content of one file, as it is read: pages follow pages. */
export interface FileContent {
  /**
   * Looks at whole pages in the buffer, which is used again afterwards.
   *
   * @param count - how many there are from the beginning of the buffer
   */
  readonly takePages: (count: number) => void
  /**
   * Looks at what follows the last whole page.
   *
   * @param bytes - how many there are at the beginning of the buffer
   */
  readonly end: (bytes: number) => ContentFindings
  /** How many pages had their checksum checked. */
  readonly pages: number
}
