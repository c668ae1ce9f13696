import { readdirSync } from 'node:fs'
import { describeSystemError } from '../../files/system-error.js'
import { chooseSegments } from './choose-segments.js'
import { fileWalSource } from './file-wal-source.js'
import type { SegmentPlace, WalSource } from './wal-source.js'

/**
 * Lists the WAL segments in the directories; one that is in several of them is taken from the first.
 *
 * A list, because a manifest may name more segments than anybody could look for one by one.
 *
 * @param usePartial - see {@link chooseSegments}
 */
export function listWalSegments(directories: readonly [string, ...string[]], usePartial: boolean): WalSource {
  const files: [string, SegmentPlace][] = []
  const failures: string[] = []
  for (const directory of directories) {
    try {
      for (const file of readdirSync(directory)) {
        files.push([file, { path: `${directory}/${file}`, part: undefined }])
      }
    } catch (error) {
      const description = describeSystemError(error)
      if (description === undefined) throw error
      failures.push(description.message)
    }
  }
  const chosen = chooseSegments(files, usePartial)
  return fileWalSource({
    ...chosen,
    place: directories[0],
    // One that is there and has no segment is no failure.
    failure: failures.length === directories.length ? failures[0] : undefined,
  })
}

/** Where pg_waldump looks: in the directory, then in pg_wal below it. */
export function walDirectoriesOf(walDirectory: string): readonly [string, ...string[]] {
  return [walDirectory, `${walDirectory}/pg_wal`]
}
