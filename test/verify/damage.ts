import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import {
  chmod,
  cp,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import type { PlainBackup } from '../helpers/plain-backup.js'
import { mustRun } from '../helpers/run-program.js'
import { unshare } from './linked-copy.js'

/**
 * Ways to damage a backup. Pathnames are relative to its data directory.
 *
 * A file that is changed in its place is unshared before: the backup may be a `linkedCopy`.
 */

/** One entry of a manifest, as its line says. */
export interface ListedFile {
  readonly pathname: string
  readonly size: number
  /** As the manifest has it. */
  readonly checksum: string
}

/** The files that a manifest lists by their plain names. */
export async function listedFiles(backup: PlainBackup): Promise<ListedFile[]> {
  const text = await readFile(backup.manifestPath, 'utf8')
  const lines = text.matchAll(/^\{ "Path": "([^"\\]+)", "Size": ([0-9]+),.*?"?([0-9a-f]*)"? \}/gm)
  return [...lines].map(([, pathname = '', size, checksum = '']) => ({
    pathname,
    size: Number(size),
    checksum,
  }))
}

/** The largest file of those whose pathname begins so. */
export async function largestFile(backup: PlainBackup, prefix: string): Promise<string> {
  const files = (await listedFiles(backup)).filter(({ pathname }) => pathname.startsWith(prefix))
  const [largest] = files.toSorted((left, right) => right.size - left.size)
  if (largest === undefined) throw new Error(`no file below "${prefix}"`)
  return largest.pathname
}

export async function addFile(backup: PlainBackup, pathname: string, content = 'x'): Promise<string> {
  const path = join(backup.directory, pathname)
  await mkdir(dirname(path), { recursive: true })
  await unshare(path)
  await writeFile(path, content)
  return pathname
}

export async function removeFile(backup: PlainBackup, pathname: string): Promise<string> {
  await rm(join(backup.directory, pathname), { recursive: true })
  return pathname
}

/** Gives a file a name with this ending. */
export async function renameFile(backup: PlainBackup, pathname: string, ending: string): Promise<void> {
  const path = join(backup.directory, pathname)
  await rename(path, path + ending)
}

/** Puts something else in the place of a file or directory. */
export async function replaceBy(
  backup: PlainBackup,
  pathname: string,
  make: (path: string) => Promise<unknown>,
): Promise<string> {
  await removeFile(backup, pathname)
  await make(join(backup.directory, pathname))
  return pathname
}

/** Moves a file or directory away, out of the data directory, and links it to where it was. */
export async function replaceByLink(backup: PlainBackup, pathname: string): Promise<void> {
  const path = join(backup.directory, pathname)
  const elsewhere = join(backup.root, `moved-${pathname.replaceAll('/', '-')}`)
  await rename(path, elsewhere)
  await symlink(elsewhere, path)
}

/** Turns one bit in the middle of a file. */
export async function flipBit(backup: PlainBackup, pathname: string, position?: number): Promise<string> {
  const path = join(backup.directory, pathname)
  await unshare(path)
  const handle = await open(path, 'r+')
  try {
    const at = position ?? Math.floor((await handle.stat()).size / 2)
    const byte = Buffer.alloc(1)
    await handle.read(byte, 0, 1, at)
    byte[0] = (byte[0] ?? 0) ^ 0x10
    await handle.write(byte, 0, 1, at)
  } finally {
    await handle.close()
  }
  return pathname
}

/** Writes over a part of a file. */
export async function overwrite(
  backup: PlainBackup,
  pathname: string,
  at: number,
  bytes: Uint8Array,
): Promise<string> {
  const path = join(backup.directory, pathname)
  await unshare(path)
  const handle = await open(path, 'r+')
  try {
    await handle.write(bytes, 0, bytes.length, at)
  } finally {
    await handle.close()
  }
  return pathname
}

/** Makes a file longer or shorter. */
export async function resize(
  backup: PlainBackup,
  pathname: string,
  newSize: (size: number) => number,
): Promise<string> {
  const path = join(backup.directory, pathname)
  await unshare(path)
  await truncate(path, newSize((await stat(path)).size))
  return pathname
}

export async function changeMode(backup: PlainBackup, pathname: string, mode: number): Promise<string> {
  const path = join(backup.directory, pathname)
  if ((await stat(path)).isFile()) await unshare(path)
  await chmod(path, mode)
  return pathname
}

export async function makeFifo(path: string): Promise<void> {
  await mustRun('mkfifo', [path])
}

/** Leaves a Unix socket that nobody listens to. */
export async function makeSocket(path: string): Promise<void> {
  const server = createServer()
  const temporary = `${path}.s`
  await new Promise<void>((resolve) => server.listen(temporary, resolve))
  // The server removes its socket when it ends, by the name that it knows.
  await rename(temporary, path)
  await new Promise((resolve) => server.close(resolve))
}

/** Makes empty directories in each other, as deep as wanted: also deeper than a path may be long. */
export async function makeDeepDirectories(
  backup: PlainBackup,
  { name, depth }: { readonly name: string; readonly depth: number },
): Promise<void> {
  // A program for each directory would take long.
  const most = Math.floor(2000 / (name.length + 1))
  const parts = Array.from({ length: Math.ceil(depth / most) }, (_, part) =>
    Array.from({ length: Math.min(most, depth - part * most) }, () => name).join('/'),
  )
  const line = 'for part in "${@:2}"; do mkdir -p "$part" && cd -P "./$part" || exit 1; done'
  await mustRun('bash', ['-c', `cd "$1" && ${line}`, 'bash', backup.directory, ...parts])
}

/** Takes a file from another backup. */
export async function takeFrom(other: PlainBackup, backup: PlainBackup, pathname: string): Promise<string> {
  const path = join(backup.directory, pathname)
  await rm(path)
  await cp(join(other.directory, pathname), path)
  return pathname
}

/** The names of the WAL segments that a backup has, in order. */
export async function walSegments(backup: PlainBackup): Promise<string[]> {
  const directory = join(backup.directory, 'pg_wal')
  const names = existsSync(directory) ? await readdir(directory) : []
  return names.filter((name) => /^[0-9A-F]{24}$/.test(name)).toSorted()
}

/** Edits a manifest and leaves its checksum as it was. */
export async function editManifest(backup: PlainBackup, edit: (text: string) => string): Promise<void> {
  const text = await readFile(backup.manifestPath, 'latin1')
  const edited = edit(text)
  if (edited === text) throw new Error('the edit of the manifest changes nothing')
  await unshare(backup.manifestPath)
  await writeFile(backup.manifestPath, edited, 'latin1')
}

/** Edits a manifest and gives it the checksum that then is right. */
export async function forgeManifest(backup: PlainBackup, edit: (text: string) => string): Promise<void> {
  await editManifest(backup, (text) => {
    const [body, rest] = splitBeforeChecksum(edit(text))
    const checksum = createHash('sha256').update(body, 'latin1').digest('hex')
    return body + rest.replace(/"Manifest-Checksum": "[0-9a-f]*"/, `"Manifest-Checksum": "${checksum}"`)
  })
}

/** The bytes that the checksum covers, and the last line. */
function splitBeforeChecksum(text: string): [string, string] {
  const lastLine = text.lastIndexOf('\n', text.length - 2) + 1
  return [text.slice(0, lastLine), text.slice(lastLine)]
}

/** The line of a manifest that lists this file, without the comma behind it. */
export function lineOf(text: string, pathname: string): string {
  const start = text.indexOf(`{ "Path": "${pathname}"`)
  if (start === -1) throw new Error(`the manifest does not list "${pathname}"`)
  return text.slice(start, text.indexOf('}', start) + 1)
}
