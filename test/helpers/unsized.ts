import type { RequestedFile } from '../../src/transfer/cluster-files/cluster-files.js'

/** Files that are asked for by their names alone, as text does. */
export function unsized(...pathnames: readonly string[]): RequestedFile[] {
  return pathnames.map((pathname) => ({ pathname, size: undefined }))
}
