import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DirectorySink } from '../src/target/directory-sink.js'
import { WalDirectory } from '../src/target/directory-target.js'
import { copyFiles } from '../src/transfer/client/copy-files.js'
import { FirstFailure } from '../src/transfer/client/first-failure.js'
import { listCluster } from '../src/transfer/client/list-cluster.js'
import { targetModes } from '../src/transfer/client/prepare-target.js'
import { runCommand } from '../src/transfer/client/run-context.js'
import { openLeaderSession } from '../src/transfer/client/source/open-source.js'
import { WalReceiver } from '../src/transfer/client/wal-receiver/wal-receiver.js'
import type { ConnectionOptions } from '../src/transfer/connection/settings/connection-options.js'
import { type Cluster, createCluster } from '../test/helpers/cluster.js'
import { FaultProxy } from '../test/helpers/fault-proxy.js'
import { embeddedPostgres } from '../test/helpers/postgres-programs.js'
import { createScratchDirectory } from '../test/helpers/scratch-directory.js'
import { AgentProgram } from '../test/transfer/agent/agent-program.js'
import {
  copyBoth,
  copyDone,
  message,
  ready,
  row,
  wal,
} from '../test/transfer/client/wal-receiver/scripted-server.js'
import { resolve } from '../test/transfer/connection/settings/resolve.js'
import { type Recording } from './replaying-peer.js'

const SEGMENT_BYTES = 1 << 20

export /** A client, and what a real peer said to it. */
interface Subject {
  readonly name: string
  readonly port: number
  readonly recordings: readonly Recording[]
  /** Does what a backup does, with the peer in this directory, and writes below `target`. */
  readonly run: (directory: string, target: string) => Promise<void>
}

/** What a database server, an agent and a WAL sender say to one backup. */
export async function recordSubjects(): Promise<readonly Subject[]> {
  const cluster = await createCluster(await embeddedPostgres(), {
    dataChecksums: true,
    walSegmentMegabytes: 1,
  })
  const agent = await AgentProgram.start(cluster)
  try {
    return [await recordDatabaseServer(cluster), await recordAgent(cluster, agent), scriptWal()]
  } finally {
    await agent.stop()
    await cluster.remove()
  }
}

async function recordDatabaseServer(cluster: Cluster): Promise<Subject> {
  const run: Subject['run'] = (directory, target) =>
    takeSmallBackup({ connection: reach(directory, cluster.port) }, target)
  return { name: 'a database server', port: cluster.port, run, recordings: await record(cluster, run) }
}

async function recordAgent(cluster: Cluster, agent: AgentProgram): Promise<Subject> {
  const connection = reach(cluster.socketDirectory, cluster.port)
  const run: Subject['run'] = (directory, target) =>
    takeSmallBackup({ connection, agent: reach(directory, agent.port) }, target)
  return { name: 'an agent', port: agent.port, run, recordings: await record(agent, run) }
}

function reach(directory: string, port: number): ConnectionOptions {
  return resolve({ host: directory, port: String(port), user: 'postgres', ioTimeout: 20 }).options
}

async function record(
  peer: { readonly socketDirectory: string; readonly port: number },
  run: Subject['run'],
): Promise<readonly Recording[]> {
  const scratch = createScratchDirectory()
  const proxy = await FaultProxy.start(peer.socketDirectory, peer.port)
  try {
    await run(proxy.directory, scratch.path)
    return proxy.answers
  } finally {
    proxy.close()
    scratch.remove()
  }
}

/** What the leader of a backup asks, and some files, as one client. */
async function takeSmallBackup(
  where: { readonly connection: ConnectionOptions; readonly agent?: ConnectionOptions },
  directory: string,
): Promise<void> {
  const failure = new FirstFailure(undefined)
  const { signal } = failure
  const onLost = (error: unknown): void => failure.report(error)
  const { session } = await openLeaderSession(where, {
    fragmentDirectory: directory,
    onNotice: () => {},
    onLost,
    signal,
  })
  try {
    const facts = await runCommand(session, failure, { command: 'IDENTIFY_CLUSTER' })
    await runCommand(session, failure, { command: 'LIST_TABLESPACES', progress: false })
    const { backupId } = await runCommand(session, failure, {
      command: 'START_BACKUP',
      label: 'fuzz',
      fast: true,
      maxRate: undefined,
      manifest: 'yes',
      manifestChecksums: undefined,
      incremental: false,
    })
    const listing = await listCluster(session, failure, false, targetModes(facts))
    const wanted = new Set(['PG_VERSION', 'global/pg_filenode.map', 'global/1262'])
    const files = listing.files.filter(({ pathname }) => wanted.has(pathname))
    mkdirSync(join(directory, 'global'))
    const context = {
      session,
      sink: new DirectorySink(directory, { sync: false }),
      verifyPageChecksums: true,
      checksums: undefined,
      onBytes: () => {},
      onFile: () => {},
      onTime: () => {},
      signal,
    }
    await copyFiles(context, [...files, listing.controlFile])
    const end = await runCommand(session, failure, { command: 'STOP_BACKUP', wait: false })
    writeFileSync(join(directory, 'backup_label'), end.backupLabel)
    const manifest = await runCommand(session, failure, { command: 'BUILD_MANIFEST', backupId })
    for await (const chunk of manifest)
      writeFileSync(join(directory, 'backup_manifest'), chunk, { flag: 'a' })
    await session.finish()
  } catch (error) {
    failure.report(error)
    await session.abort()
    throw failure.error
  } finally {
    failure.close()
  }
}

/** A stream of WAL over two timelines. What is in it does not matter to who writes it. */
function scriptWal(): Subject {
  const start = 5n * BigInt(SEGMENT_BYTES)
  const greeting = Buffer.concat([
    message('R', Buffer.alloc(4)),
    message('S', 'server_version\x0018.0\0'),
    ready,
  ])
  const pieces = Array.from({ length: 12 }, (_, index) =>
    wal(start + BigInt(index) * 131_072n, Buffer.alloc(131_072, index)),
  )
  const switchLsn = start + 12n * 131_072n
  const switchText = `0/${switchLsn.toString(16).toUpperCase()}`
  const second = Array.from({ length: 6 }, (_, index) =>
    wal(start + BigInt(SEGMENT_BYTES) + BigInt(index) * 131_072n, Buffer.alloc(131_072, index)),
  )
  const keepalive = message('d', Buffer.concat([Buffer.from('k'), Buffer.alloc(16), Buffer.of(1)]))
  const recording = [
    greeting,
    Buffer.concat([row('1', '1', '0/0', ''), ready]),
    Buffer.concat([row('wal_1', '0/0', '', ''), ready]),
    Buffer.concat([copyBoth, ...pieces, keepalive, copyDone]),
    Buffer.concat([row('2', switchText), ready]),
    Buffer.concat([row('00000002.history', `1\t${switchText}\tno recovery target specified\n`), ready]),
    Buffer.concat([copyBoth, ...second, keepalive]),
    Buffer.concat([copyDone, message('C', 'COPY 0\0'), ready]),
  ]
  const run: Subject['run'] = async (directory, target) => {
    const receiver = await WalReceiver.open({
      connection: reach(directory, 5432),
      proof: {
        systemIdentifier: 1n,
        majorVersion: 18,
        findWalSender: () => Promise.resolve({ found: true, server: 'it' }),
      },
      files: new WalDirectory({ directory: join(target, 'pg_wal'), fileMode: 0o600, sync: false }),
      walSegmentSize: SEGMENT_BYTES,
      slot: { kind: 'temporary', name: 'pbmanifest_0' },
    })
    const received = receiver.start(start, 1)
    try {
      await receiver.stop(start + BigInt(SEGMENT_BYTES) + 5n * 131_072n)
      await received
    } finally {
      await receiver.close()
    }
  }
  return { name: 'a WAL sender', port: 5432, recordings: [recording], run }
}
