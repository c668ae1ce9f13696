import { realpath } from 'node:fs/promises'
import { PbManifestError } from '../../errors.js'
import { describeSystemError, ioError } from '../../files/system-error.js'

/** The backups that words on a command line mean. */
export interface FoundBackups {
  readonly directories: readonly string[]
  /** Whether there may be any number of them: several words, or a glob. */
  readonly isPlural: boolean
}

/**
 * The directories that these words mean: each the one that it names, or, where nothing has that name, those that it matches
 * as a glob, in the order of their names. A directory that is meant twice, also through a link, is named once, as it was
 * first.
 *
 * @throws {@link PbManifestError} `IO` for a glob that matches no directory
 */
export async function findBackups(words: readonly string[]): Promise<FoundBackups> {
  const found = new Map<string, string>()
  let isPlural = words.length > 1
  for (const word of words) {
    const realName = await realNameOf(word)
    const matches = realName === undefined && word !== '-' ? await matchDirectories(word) : undefined
    if (matches !== undefined) isPlural = true
    for (const path of matches ?? [word]) {
      const key = (await realNameOf(path)) ?? path
      if (!found.has(key)) found.set(key, path)
    }
  }
  return { directories: [...found.values()], isPlural }
}

/** `undefined` when there is nothing of that name, or no way to it: then who opens it says so. */
async function realNameOf(path: string): Promise<string | undefined> {
  try {
    return await realpath(path)
  } catch (error) {
    if (describeSystemError(error) === undefined) throw error
    return undefined
  }
}

/** `undefined` when this is no glob. */
async function matchDirectories(word: string): Promise<string[] | undefined> {
  // Loaded here because whoever names directories, as a shell does with those that match, has no use for it.
  const { default: glob } = await import('fast-glob')
  if (!glob.isDynamicPattern(word)) return undefined
  const paths = await glob(word, { onlyDirectories: true }).catch((error: unknown) => {
    throw ioError(`could not look for "${word}"`, error)
  })
  if (paths.length === 0)
    throw new PbManifestError('IO', `no backup found: "${word}" is no directory and matches none`)
  return paths.toSorted()
}
