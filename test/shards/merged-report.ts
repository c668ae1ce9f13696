import { join } from 'node:path'
import { mergeReports, verifyShard, type VerifyReport, type VerifyShardOptions } from 'pbmanifest'
import { createScratchDirectory } from '../helpers/scratch-directory.js'

/** A backup, wherever it is. */
export type Backup = Parameters<typeof verifyShard>[0]

type ShardOptions = Omit<VerifyShardOptions, 'shard' | 'shards' | 'output'>

/** Writes the fragments of all shards of a backup; returns their paths. */
export async function writeFragments(
  backup: Backup,
  into: string,
  shards: number,
  options: ShardOptions = {},
): Promise<string[]> {
  const fragments = Array.from({ length: shards }, (_, index) => join(into, `fragment.${index + 1}`))
  for (const [index, output] of fragments.entries())
    await verifyShard(backup, { jobs: 2, ...options, shard: index + 1, shards, output })
  return fragments
}

/** The report that the shards of a backup come to. */
export async function mergedReport(
  backup: Backup,
  shards: number,
  options: ShardOptions = {},
): Promise<VerifyReport> {
  const scratch = createScratchDirectory()
  try {
    const fragments = await writeFragments(backup, scratch.path, shards, options)
    return await mergeReports(fragments.toReversed())
  } finally {
    scratch.remove()
  }
}
