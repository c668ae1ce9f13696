import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'

/** Of the fragments that are made here. */
export const backupId = '0123456789abcdef0123456789abcdef'

/** The line of a file that never was; every third name has a fork's suffix. */
function lineOf(number: number): string {
  const path = pathnameOf(number)
  const checksum = (Math.imul(number, 2654435761) >>> 0).toString(16).padStart(8, '0')
  const size = 8192 * (number % 7)
  const modified = '2026-11-22 21:36:05 GMT'
  return `{ "Path": "${path}", "Size": ${size}, "Last-Modified": "${modified}", "Checksum-Algorithm": "CRC32C", "Checksum": "${checksum}" }`
}

function pathnameOf(number: number): string {
  return `base/${16384 + (number % 50)}/${100000 + number}${number % 3 === 0 ? '_fsm' : ''}`
}

/** Writes a manifest of version 1 with so many files. */
export function makeManifest(path: string, files: number): void {
  const output = new HashedFile(path)
  output.write('{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [')
  for (let number = 0; number < files; number++) output.write(`${number === 0 ? '' : ','}\n${lineOf(number)}`)
  output.write(
    '\n],\n"WAL-Ranges": [\n{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }\n],\n',
  )
  output.end((checksum) => `"Manifest-Checksum": "${checksum}"}\n`)
}

/** How many bytes the pathnames of so many files have. */
export function pathnameBytes(files: number): number {
  let bytes = 0
  for (let number = 0; number < files; number++) bytes += pathnameOf(number).length
  return bytes
}

/** Writes the fragment of one worker of several, as if each had copied its part of so many files. */
export function makeFragment(path: string, worker: number, workers: number, files: number): void {
  const output = new HashedFile(path)
  let count = 0
  let bytes = 0
  for (let number = worker; number < files; number += workers) {
    output.write(`${lineOf(number)}\n`)
    count++
    bytes += 8192 * (number % 7)
  }
  output.end(
    (checksum) =>
      `{ "Fragment-Version": 1, "Backup-Id": "${backupId}", "Worker": ${worker}, "Files": ${count}, "Bytes": ${bytes}, "Fragment-Checksum": "${checksum}" }\n`,
  )
}

class HashedFile {
  readonly #descriptor: number
  readonly #hash = createHash('sha256')
  #buffered = ''

  constructor(path: string) {
    this.#descriptor = openSync(path, 'w')
  }

  write(text: string): void {
    this.#buffered += text
    if (this.#buffered.length > 1024 * 1024) this.#flush()
  }

  end(lastLine: (checksum: string) => string): void {
    this.#flush()
    writeSync(this.#descriptor, lastLine(this.#hash.digest('hex')))
    closeSync(this.#descriptor)
  }

  #flush(): void {
    this.#hash.update(this.#buffered)
    writeSync(this.#descriptor, this.#buffered)
    this.#buffered = ''
  }
}
