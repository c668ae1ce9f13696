import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PbManifestError } from '../../errors.js'
import { ioError, isNotThere } from '../../files/system-error.js'
import { parseFragmentFileName } from '../fragment/backup-id.js'

/**
 * The fragments' files that these words mean: a file, a folder with fragments in it (by their names), or a glob.
 *
 * A file that is meant twice is named once.
 *
 * @throws {@link PbManifestError} `IO` for a word that means nothing
 */
export async function findFragments(words: readonly string[]): Promise<string[]> {
  const found = new Map<string, string>()
  for (const word of words) {
    for (const path of await findOf(word)) {
      if (!found.has(resolve(path))) found.set(resolve(path), path)
    }
  }
  return [...found.values()]
}

async function findOf(word: string): Promise<string[]> {
  const kind = await kindOf(word)
  if (kind === 'file') return [word]
  if (kind === 'directory') return findInDirectory(word)
  // Loaded here because a caller that names its files, as most do, has no use for it.
  const { default: glob } = await import('fast-glob')
  const paths = await glob(word, { dot: true, onlyFiles: true })
  if (paths.length === 0)
    throw new PbManifestError('IO', `no fragment found: "${word}" is no file and matches none`)
  return paths.toSorted()
}

async function kindOf(path: string): Promise<'file' | 'directory' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'file'
  } catch (error) {
    if (isNotThere(error)) return undefined
    throw ioError(`could not open file "${path}"`, error)
  }
}

async function findInDirectory(path: string): Promise<string[]> {
  const names = await readdir(path).catch((error: unknown) => {
    throw ioError(`could not open directory "${path}"`, error)
  })
  const fragments = names.filter((name) => parseFragmentFileName(name) !== undefined).toSorted()
  if (fragments.length === 0) {
    throw new PbManifestError('IO', `no fragment found in directory "${path}"`, {
      hint: 'A fragment in a folder is found by its name, backup_manifest_<backup-id>.<worker>.',
    })
  }
  return fragments.map((name) => join(path, name))
}
