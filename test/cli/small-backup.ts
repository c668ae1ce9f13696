import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeNeededDirectories } from '../helpers/needed-directories.js'

interface ListedFile {
  readonly path: string
  readonly size: number
  /** As a manifest writes CRC-32C. */
  readonly checksum: string
}

/** Three bytes, `15` and a line feed. */
export const versionFile: ListedFile = { path: 'PG_VERSION', size: 3, checksum: '8a744722' }

/** An empty file. */
export const emptyFile: ListedFile = { path: 'base/1/16384', size: 0, checksum: '00000000' }

/** Manifest files as both a manifest and a fragment write them. */
export function formatFile({ path, size, checksum }: ListedFile): string {
  const digest = `"Checksum-Algorithm": "CRC32C", "Checksum": "${checksum}"`
  return `{ "Path": "${path}", "Size": ${size}, "Last-Modified": "2026-01-02 03:04:05 GMT", ${digest} }`
}

/** A manifest of version 1 with one WAL range on timeline 1. */
export function formatManifest(
  files: readonly ListedFile[],
  { start, end }: { readonly start: string; readonly end: string } = { start: '0/2000028', end: '0/2000100' },
): string {
  const body = `{ "PostgreSQL-Backup-Manifest-Version": 1,
"Files": [
${files.map(formatFile).join(',\n')}
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "${start}", "End-LSN": "${end}" }
],
`
  const checksum = createHash('sha256').update(body).digest('hex')
  return `${body}"Manifest-Checksum": "${checksum}"}\n`
}

/**
 * Writes the smallest directory that `pg_verifybackup -n` accepts, one empty file, and the directories that a server needs.
 *
 * @returns its path
 */
export async function writeSmallBackup(parent: string): Promise<string> {
  const directory = join(parent, 'backup')
  await makeNeededDirectories(directory)
  await writeTree(directory, {
    PG_VERSION: '15\n',
    'base/1/16384': '',
    backup_manifest: formatManifest([versionFile, emptyFile]),
  })
  return directory
}

/** Writes files, and the directories that they need. */
export async function writeTree(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const file = join(directory, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content)
  }
}
