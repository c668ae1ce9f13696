import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const backupId = '00112233445566778899aabbccddeeff'

/** A fragment to write. Everything that is left out is as it should be. */
export interface FragmentParts {
  readonly worker?: number
  readonly backupId?: string
  /** The entries of its files, without line ends. */
  readonly lines?: readonly string[]
}

/** A fragment's bytes, with a seal that fits. */
export function fragmentBytes(parts: FragmentParts = {}): Buffer {
  const { worker = 0, lines = [] } = parts
  const body = Buffer.from(lines.map((line) => `${line}\n`).join(''))
  const bytes = lines.reduce((sum, line) => sum + Number(/"Size": ([0-9]+)/.exec(line)?.[1]), 0)
  const seal =
    `{ "Fragment-Version": 1, "Backup-Id": "${parts.backupId ?? backupId}", "Worker": ${worker}, ` +
    `"Files": ${lines.length}, "Bytes": ${bytes}, ` +
    `"Fragment-Checksum": "${createHash('sha256').update(body).digest('hex')}" }\n`
  return Buffer.concat([body, Buffer.from(seal)])
}

/** Writes a fragment under its own name. */
export function writeFragmentFile(directory: string, parts: FragmentParts = {}): string {
  const name = `backup_manifest_${parts.backupId ?? backupId}.${parts.worker ?? 0}`
  const path = join(directory, name)
  writeFileSync(path, fragmentBytes(parts))
  return path
}

/** The entry of a file that has three bytes. */
export function entry(pathname: string, checksum = '8a744722'): string {
  return `{ "Path": "${pathname}", "Size": 3, "Last-Modified": "2026-01-02 03:04:05 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "${checksum}" }`
}
