import { readdirSync } from 'node:fs'
import { describeSystemError } from '../files/system-error.js'

/** The WAL segments that are there. */
export interface WalFiles {
  /** Where they were looked for first. */
  readonly directory: string
  /** The path of each segment by its name. */
  readonly paths: ReadonlyMap<string, string>
  /** Why there are none, when the directory could not be read. */
  readonly failure: string | undefined
}

/**
 * Lists the WAL segments in the directories; one that is in several of them is taken from the first.
 *
 * A list, because a manifest may name more segments than anybody could look for one by one.
 */
export function listWalFiles(directories: readonly [string, ...string[]]): WalFiles {
  const paths = new Map<string, string>()
  let failure: string | undefined
  for (const directory of directories) {
    try {
      for (const name of readdirSync(directory)) {
        if (/^[0-9A-F]{24}$/.test(name) && !paths.has(name)) paths.set(name, `${directory}/${name}`)
      }
    } catch (error) {
      const description = describeSystemError(error)
      if (description === undefined) throw error
      failure ??= description.message
    }
  }
  return { directory: directories[0], paths, failure: paths.size === 0 ? failure : undefined }
}
