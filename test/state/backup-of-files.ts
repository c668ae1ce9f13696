import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeNeededDirectories } from '../helpers/needed-directories.js'

/**
 * Writes a backup with these files, by SHA-256; no WAL is needed to verify it with `-n`.
 *
 * @param header - lines of the manifest before its files
 */
export async function writeBackupOfFiles(
  directory: string,
  files: Readonly<Record<string, string | Buffer>>,
  header = '"PostgreSQL-Backup-Manifest-Version": 1',
): Promise<void> {
  await makeNeededDirectories(directory)
  const lines = Object.entries({ PG_VERSION: '15\n', ...files }).map(([pathname, content]) => {
    mkdirSync(dirname(join(directory, pathname)), { recursive: true })
    writeFileSync(join(directory, pathname), content)
    const checksum = createHash('sha256').update(content).digest('hex')
    const size = Buffer.byteLength(content)
    return `{ "Path": "${pathname}", "Size": ${size}, "Last-Modified": "2026-01-02 03:04:05 GMT", "Checksum-Algorithm": "SHA256", "Checksum": "${checksum}" }`
  })
  const range = '{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }'
  const body = `{ ${header},\n"Files": [\n${lines.join(',\n')}\n],\n"WAL-Ranges": [\n${range}\n],\n`
  const checksum = createHash('sha256').update(body).digest('hex')
  writeFileSync(join(directory, 'backup_manifest'), `${body}"Manifest-Checksum": "${checksum}"}\n`)
}
