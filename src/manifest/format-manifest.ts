import { formatLsn, type LsnDigits } from '../postgres/lsn.js'
import type { ManifestFile, ManifestHeader, WalRange } from './model.js'
import { encodePathname, isUtf8Pathname } from '../files/pathname.js'

/**
 * The exact text that PostgreSQL's server writes for each part of a manifest.
 *
 * @see src/backend/backup/backup_manifest.c
 */

/** The first line, or the first two, and the opening of the file list. */
export function formatManifestHeader(header: ManifestHeader): string {
  const version = `{ "PostgreSQL-Backup-Manifest-Version": ${header.version},\n`
  const identifier =
    header.systemIdentifier === undefined ? '' : `"System-Identifier": ${header.systemIdentifier},\n`
  return `${version}${identifier}"Files": [`
}

/** What stands before a file or a WAL range: a line feed before the first, a comma and a line feed before others. */
export function formatListSeparator(isFirst: boolean): string {
  return isFirst ? '\n' : ',\n'
}

/** One file's entry, on one line without its end. */
export function formatManifestFile(file: ManifestFile): string {
  const modified =
    file.lastModified === undefined ? '' : `, "Last-Modified": ${JSON.stringify(file.lastModified)}`
  const checksum =
    file.checksum === undefined
      ? ''
      : `, "Checksum-Algorithm": "${file.checksum.algorithm}", "Checksum": "${file.checksum.hex}"`
  return `{ ${formatPath(file)}, "Size": ${file.size}${modified}${checksum} }`
}

/**
 * The end of the file list, and all WAL ranges: everything up to the line of the manifest's own checksum.
 *
 * @param lsnDigits - what the server's version has
 */
export function formatWalRanges(walRanges: readonly WalRange[], lsnDigits: LsnDigits): string {
  const lines = walRanges.map(
    (range, index) => formatListSeparator(index === 0) + formatWalRange(range, lsnDigits),
  )
  return `\n],\n"WAL-Ranges": [${lines.join('') || '\n'}\n],\n`
}

/** The last line: the manifest's own SHA-256 over all bytes before it. */
export function formatManifestChecksum(checksum: string): string {
  return `"Manifest-Checksum": "${checksum}"}\n`
}

/** A time as manifests have it: whole seconds, always GMT. */
export function formatLastModified(time: Date): string {
  // Counted from the end, where a year of more than four digits, which ISO writes in another way, makes no difference.
  const rest = time.toISOString().slice(-20, -5).replace('T', ' ')
  return `${String(time.getUTCFullYear()).padStart(4, '0')}${rest} GMT`
}

function formatPath(file: ManifestFile): string {
  if (file.isPathEncoded || !isUtf8Pathname(file.pathname)) {
    return `"Encoded-Path": "${encodePathname(file.pathname).toString('hex')}"`
  }
  // JSON.stringify escapes what PostgreSQL's escape_json escapes, and writes it the same way.
  return `"Path": ${JSON.stringify(file.pathname)}`
}

function formatWalRange({ timeline, startLsn, endLsn }: WalRange, lsnDigits: LsnDigits): string {
  const [start, end] = [formatLsn(startLsn, lsnDigits), formatLsn(endLsn, lsnDigits)]
  return `{ "Timeline": ${timeline}, "Start-LSN": "${start}", "End-LSN": "${end}" }`
}
