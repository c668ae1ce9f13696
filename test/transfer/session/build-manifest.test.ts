import { readdirSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { writeFully } from '../../../src/files/durable-file.js'
import { fragmentFileName } from '../../../src/manifest/fragment/backup-id.js'
import type { BackupMode } from '../../../src/transfer/cluster-files/cluster-files.js'
import { createBackup } from '../../../src/transfer/session/backup.js'
import { buildManifest } from '../../../src/transfer/session/build-manifest.js'
import type { Leader, Membership } from '../../../src/transfer/session/membership.js'
import { backupId, entry, writeFragmentFile } from '../../manifest/fragment-text.js'
import { parseBytes } from '../../manifest/parse-bytes.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()
const never = new AbortController().signal

interface StoppedBackup {
  readonly membership: Membership
  readonly leader: Leader
}

/** A backup that was stopped, and whose sessions have sealed their fragments: the first has the names at even places. */
function stoppedBackup(names: readonly string[]): StoppedBackup {
  const start = { startLsn: 0x2000028n, startTimeline: 1 }
  const cluster = {
    majorVersion: 17,
    systemIdentifier: 7n,
    walSegmentSize: 2 ** 24,
    hasDataChecksums: true,
    hasGroupAccess: false,
    isInRecovery: false,
  }
  const options = { maxRate: undefined, manifest: 'yes', checksumAlgorithm: 'CRC32C' } as const
  const backup = createBackup({
    id: backupId,
    ...start,
    cluster,
    ...options,
    fragmentDirectory: scratch.path,
    incremental: undefined,
  })
  backup.state.join()
  for (const worker of [0, 1]) {
    const lines = names.filter((_, index) => index % 2 === worker).map((name) => entry(name))
    writeFragmentFile(scratch.path, { worker, lines })
    backup.state.addFinished()
  }
  backup.state.move(['running'], 'stopping')
  backup.state.move(['stopping'], 'stopped')
  const files = { backupLabel: Buffer.alloc(0), tablespaceMap: Buffer.alloc(0) }
  const end = { endLsn: 0x2000100n, endTimeline: 1, ...files, checksumFailures: 0 }
  const leader = { mode: {} as BackupMode, end, isComplete: false }
  return { membership: { backup, worker: 0, recorder: undefined, mayBeReplaced: false, leader }, leader }
}

const names = Array.from({ length: 5000 }, (_, index) => `base/5/${(index * 7919) % 5000}`)

async function piecesOf({ membership }: StoppedBackup): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of buildManifest(membership, backupId, never)) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

describe('buildManifest', () => {
  test('gives the files sorted, writes nothing, and leaves nothing', async () => {
    const stopped = stoppedBackup(names)
    const { membership, leader } = stopped
    const pieces: Buffer[] = []
    for await (const piece of buildManifest(membership, backupId, never)) {
      pieces.push(Buffer.from(piece))
      expect(readdirSync(scratch.path)).toHaveLength(2)
    }
    const parsed = parseBytes(Buffer.concat(pieces))
    expect(parsed.files.map(({ pathname }) => pathname)).toEqual(names.toSorted())
    expect(parsed).toMatchObject({ version: 2, systemIdentifier: 7n })
    expect(readdirSync(scratch.path)).toEqual([])
    expect(leader.isComplete).toBe(true)
    await expect(piecesOf(stopped)).rejects.toThrow('the manifest was built already')
  })

  test('ends when the backup is aborted in the middle', async () => {
    const { membership, leader } = stoppedBackup(names)
    const pieces = buildManifest(membership, backupId, never)
    await pieces.next()
    membership.backup.state.move(['stopped'], 'aborted')
    await expect(pieces.next()).rejects.toMatchObject({ code: 'ABORTED' })
    expect(leader.isComplete).toBe(false)
  })

  test('ends when its command is', async () => {
    const { membership, leader } = stoppedBackup(names)
    const signal = AbortSignal.abort()
    await expect(buildManifest(membership, backupId, signal).next()).rejects.toMatchObject({
      code: 'ABORTED',
    })
    expect(leader.isComplete).toBe(false)
  })

  test('can be asked for again by a client that has lost it on the way', async () => {
    const stopped = stoppedBackup(names)
    const lost = buildManifest(stopped.membership, backupId, never)
    await lost.next()
    await lost.return()
    expect(stopped.leader.isComplete).toBe(false)
    expect(parseBytes(await piecesOf(stopped)).files).toHaveLength(names.length)
  })

  test('is not complete when the disk that it goes to is full', async () => {
    const stopped = stoppedBackup(names)
    const handle = await open('/dev/full', 'w')
    const write = async (): Promise<void> => {
      for await (const piece of buildManifest(stopped.membership, backupId, never))
        await writeFully(handle, piece)
    }
    await expect(write()).rejects.toMatchObject({ code: 'ENOSPC' })
    await handle.close()
    expect(stopped.leader.isComplete).toBe(false)
    expect(readdirSync(scratch.path)).toHaveLength(2)
  })

  test('names the fragment that is gone', async () => {
    const stopped = stoppedBackup(names)
    const path = join(scratch.path, fragmentFileName(backupId, 1))
    rmSync(path)
    await expect(piecesOf(stopped)).rejects.toMatchObject({
      code: 'IO',
      message: `could not open file "${path}": No such file or directory`,
    })
    expect(stopped.leader.isComplete).toBe(false)
  })
})
