import { join } from 'node:path'
import { ours } from './bench-verify.js'
import { makeFragment } from './make-manifest.js'
import type { Subject } from './measure.js'
import { type Bench, printRows } from './table.js'

/** `pbmanifest merge` of eight workers, beside what no merge can do without. */
export async function benchMerge(bench: Bench): Promise<void> {
  const backupId = '0123456789abcdef0123456789abcdef'
  const fragments = Array.from({ length: 8 }, (_, worker) => join(bench.scratch, `fragment.${worker}`))
  for (const [worker, path] of fragments.entries()) makeFragment(path, backupId, worker, 8, 1_000_000)
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
