import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ours } from './bench-verify.js'
import { backupId, makeFragment, pathnameBytes } from './make-manifest.js'
import { measure, type Subject } from './measure.js'
import { type Bench, printRows } from './table.js'

/** `pbmanifest merge` of eight workers, beside what no merge can do without. */
export async function benchMerge(bench: Bench): Promise<void> {
  const { fragments } = makeFragments(bench, 1_000_000)
  const output = join(bench.scratch, 'merged')
  const range = ['--wal-range', '1,0/2000028,0/2000100']
  const sum: Subject = {
    name: 'cat, sha256sum',
    command: ['sh', '-c', `cat ${fragments.join(' ')} | sha256sum`],
  }
  await printRows(bench, {
    name: 'merge of a million files',
    ours: ours(bench, 'pbmanifest', 'merge', '-q', ...fragments, '-o', output, ...range),
    beside: [sum],
    wanted: { wall: '1.7' },
  })
}

/** BUILD_MANIFEST as an agent and a client do it, here in one process; and the memory of it beyond that for no files. */
export async function benchManifest(bench: Bench): Promise<void> {
  const program = fileURLToPath(new URL('build-manifest.js', import.meta.url))
  const target = join(bench.scratch, 'built')
  const clear = (): void => rmSync(target, { recursive: true, force: true })
  const build = (directory: string): Subject => ({
    name: 'pbmanifest',
    command: [process.execPath, program, directory, target],
  })
  const empty = await measure(build(makeFragments(bench, 0).directory))
  for (const files of [1_000_000, 3_000_000]) {
    const { directory, fragments } = makeFragments(bench, files)
    const sort: Subject = {
      name: 'cat, sort, sha256sum',
      command: ['sh', '-c', `cat ${fragments.join(' ')} | LC_ALL=C sort | sha256sum`],
    }
    const runs = await printRows(bench, {
      name: `BUILD_MANIFEST of ${files / 1e6} million files`,
      ours: build(directory),
      beside: [sort],
      before: clear,
    })
    const megabytes = Math.max(...runs.map((run) => run.peakMegabytes)) - empty.peakMegabytes
    const each = (1024 ** 2 * megabytes - pathnameBytes(files)) / files
    bench.print(`${each.toFixed(0)} bytes of memory for each file beside its pathname; wanted: 60`)
    clear()
    rmSync(directory, { recursive: true })
  }
}

/** Of eight workers. */
function makeFragments(
  { scratch }: Bench,
  files: number,
): { readonly directory: string; readonly fragments: readonly string[] } {
  const directory = join(scratch, `fragments-${files}`)
  mkdirSync(directory, { recursive: true })
  const fragments = Array.from({ length: 8 }, (_, worker) =>
    join(directory, `backup_manifest_${backupId}.${worker}`),
  )
  for (const [worker, path] of fragments.entries()) makeFragment(path, worker, fragments.length, files)
  return { directory, fragments }
}
