import { linkSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { writeNewFile } from '../src/files/durable-file.js'
import type { BackupMode } from '../src/transfer/cluster-files/cluster-files.js'
import { createBackup } from '../src/transfer/session/backup.js'
import type * as Built from '../src/transfer/session/build-manifest.js'
import { backupId } from './make-manifest.js'

// The thread that it starts is there only where all was built.
const built = new URL('../../dist/src/transfer/session/build-manifest.js', import.meta.url)
const { buildManifest } = (await import(built.href)) as typeof Built

/**
 * What BUILD_MANIFEST does, and a client with what comes: `node build-manifest.js FRAGMENTS SCRATCH`. A program of its own, so
 * that nothing else is in its memory.
 */
const [fragments = '', scratch = ''] = process.argv.slice(2)
mkdirSync(scratch)
// Links, because the fragments are removed in the end.
const names = readdirSync(fragments)
for (const name of names) linkSync(join(fragments, name), join(scratch, name))

const position = { startLsn: 0x2000028n, startTimeline: 1 }
const backup = createBackup({
  id: backupId,
  ...position,
  cluster: {
    majorVersion: 18,
    systemIdentifier: 7_711_113_546_893_945_671n,
    walSegmentSize: 2 ** 24,
    hasDataChecksums: true,
    hasGroupAccess: false,
    isInRecovery: false,
  },
  maxRate: undefined,
  manifest: 'yes',
  checksumAlgorithm: 'CRC32C',
  fragmentDirectory: scratch,
  incremental: undefined,
})
// The leader is there from the beginning.
for (let worker = 1; worker < names.length; worker++) backup.state.join()
for (let worker = 0; worker < names.length; worker++) backup.state.addFinished()
const none = Buffer.alloc(0)
const end = {
  endLsn: 0x2000100n,
  endTimeline: 1,
  backupLabel: none,
  tablespaceMap: none,
  checksumFailures: 0,
}
const leader = { mode: {} as BackupMode, end, isComplete: false }
const membership = { backup, worker: 0, recorder: undefined, mayBeReplaced: false, leader }
const chunks = buildManifest(membership, backupId, new AbortController().signal)
try {
  await writeNewFile(join(scratch, 'backup_manifest'), chunks, { mode: 0o600, sync: false })
} catch (error) {
  process.stderr.write(`${String(error)}\n`)
  process.exitCode = 2
}
