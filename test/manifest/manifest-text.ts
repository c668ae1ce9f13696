import { createHash } from 'node:crypto'

/** An entry of `"Files"`: three bytes, `15` and a line feed. */
export const fileEntry =
  '{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-01-02 03:04:05 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "8a744722" }'

/** An entry of `"WAL-Ranges"`. */
export const rangeEntry = '{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }'

/** The first line of a manifest of version 1. */
export const versionLine = '{ "PostgreSQL-Backup-Manifest-Version": 1,\n'

/** Version 2, with a system identifier that no JavaScript number can hold. */
export const versionLine2 =
  '{ "PostgreSQL-Backup-Manifest-Version": 2,\n"System-Identifier": 7711113546893945671,\n'

/** The parts of a manifest's text that differ from those of a good one. */
export interface ManifestTextParts {
  readonly head?: string
  readonly files?: readonly string[]
  readonly ranges?: readonly string[]
}

/** A manifest's text up to the line of its own checksum. */
export function manifestBody(parts: ManifestTextParts = {}): string {
  const { head = versionLine, files = [fileEntry], ranges = [rangeEntry] } = parts
  return `${head}"Files": [\n${files.join(',\n')}\n],\n"WAL-Ranges": [\n${ranges.join(',\n')}\n],\n`
}

/** Adds the line of the manifest's own checksum, which is right whatever the text says. */
export function withChecksum(body: string | Buffer): Buffer {
  const line = `"Manifest-Checksum": "${createHash('sha256').update(body).digest('hex')}"}\n`
  return Buffer.concat([Buffer.from(body), Buffer.from(line)])
}

/** A whole manifest; a good one when nothing differs. */
export function manifestText(parts: ManifestTextParts = {}): Buffer {
  return withChecksum(manifestBody(parts))
}
