import type { Pathname } from '../../files/pathname.js'
import type { EntryKind } from '../../files/read-directory.js'
import type { FileTable } from '../file-table/file-table.js'
import type { ProblemPlace, VerificationShare } from '../share.js'
import type { VerifiedBackup } from '../verified-backup.js'

/**
 * Which part of a scan one share of a backup has: the files that are in it, wherever they are, and what else is in its
 * directories. A directory in which several shares have files is listed by each of them.
 */
export class ShareOfScan {
  readonly #share: VerificationShare
  readonly #table: FileTable

  constructor(share: VerificationShare, table: FileTable) {
    this.#share = share
    this.#table = table
  }

  ownsRow(row: number): boolean {
    return this.#share.ownsRow(row)
  }

  entersDirectory(pathname: Pathname): boolean {
    return this.#share.entersDirectory(pathname)
  }

  /** Whether what is wrong with an entry, or, `isEntered`, with what is in it, is this share's to report. */
  owns(pathname: Pathname, isEntered = false): boolean {
    if (isEntered) return this.#share.ownsDirectory(pathname)
    const row = this.#table.find(pathname)
    return row === -1 ? this.#share.ownsDirectory(directoryOf(pathname)) : this.#share.ownsRow(row)
  }

  /** Whether there is anything to see for this share in an entry, or below it. */
  isLookedAt(pathname: Pathname, kind: EntryKind): boolean {
    if (this.owns(pathname)) return true
    // What is no file may be a directory, whatever the manifest takes it for.
    if (kind === 'file') return false
    return this.#share.ownsDirectory(directoryOf(pathname)) || this.#share.entersDirectory(pathname)
  }

  /** Where such a problem stands: what is in a directory before what is in those below it. */
  placeOf(pathname: Pathname, isEntered: boolean): ProblemPlace {
    const directory = isEntered ? pathname : directoryOf(pathname)
    const name = isEntered ? '' : pathname.slice(directory === '' ? 0 : directory.length + 1)
    return { phase: 'scan', key: [...(directory === '' ? [] : directory.split('/')), '', name] }
  }
}

/** Says where problems of a row stand. */
export type PlaceOfRow = (row: number, phase: 'checksums' | 'pages') => ProblemPlace

/** Of the pieces of a manifest that are queued one after the other, the largest file of each first: where what is found in a row stands. */
export function placesInQueue(
  pieces: readonly Parameters<VerifiedBackup['expect']>[],
  table: FileTable,
): PlaceOfRow {
  return (row, phase) => {
    let [piece, end] = [0, pieces.length]
    while (end - piece > 1) {
      const middle = (piece + end) >> 1
      if ((pieces[middle]?.[0] ?? 0) <= row) piece = middle
      else end = middle
    }
    return { phase, key: [piece, -table.size(row), row] }
  }
}

function directoryOf(pathname: Pathname): Pathname {
  return pathname.slice(0, Math.max(pathname.lastIndexOf('/'), 0))
}
