import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeSystemError } from '../../../src/files/system-error.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { FaultProxy, type Moment } from '../../helpers/fault-proxy.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { AgentProgram } from '../agent/agent-program.js'
import { expectNothingLeft, listTree, startBackupProgram } from './backup-program.js'

let cluster: Cluster
let agent: AgentProgram
let scratch: ScratchDirectory

beforeAll(async () => {
  const settings = { max_wal_senders: 20, max_connections: 100 }
  cluster = await createCluster(await embeddedPostgres(), { settings })
  agent = await AgentProgram.start(cluster)
  scratch = createScratchDirectory()
})

afterAll(async () => {
  await agent.stop('SIGKILL')
  await cluster.remove()
  scratch.remove()
})

type Kind = 'sql' | 'agent'

let runs = 0

/**
 * Takes a backup over a proxy, and freezes the other side at one of its requests; then sends SIGINT, and waits for the end:
 * nobody but the program itself can bring it about.
 *
 * @param freeze - default: nothing comes through the proxy any more
 */
async function interruptFrozen(
  kind: Kind,
  request: string,
  moment: Moment,
  freeze?: () => void,
): Promise<unknown> {
  return await backUpFrozen({ kind, request, moment, freeze, args: [], signal: 'SIGINT' })
}

interface FrozenBackup {
  readonly kind: Kind
  readonly request: string
  readonly moment: Moment
  readonly freeze?: (() => void) | undefined
  readonly args: readonly string[]
  readonly signal?: NodeJS.Signals
}

async function backUpFrozen({ kind, request, moment, freeze, args, signal }: FrozenBackup): Promise<unknown> {
  const peer = kind === 'sql' ? cluster : agent
  const proxy = await FaultProxy.start(peer.socketDirectory, peer.port)
  const directory = join(scratch.path, `backup-${runs++}`)
  const where =
    kind === 'sql'
      ? { args: ['--jobs=2', ...args], env: { PGHOST: proxy.directory } }
      : { args: ['--jobs=2', `--agent=${proxy.directory}`, ...args], env: {} }
  const frozen = new Promise<void>((resolve) => {
    proxy.at = ({ text }, now) => {
      if (!text.includes(request) || now !== moment) return
      if (freeze === undefined) proxy.freeze()
      else freeze()
      resolve()
    }
  })
  try {
    const running = startBackupProgram(cluster, { directory, ...where })
    await Promise.race([frozen, running.result])
    if (signal !== undefined) running.process.kill(signal)
    const { status, stderr } = await running.result
    return { status, stderr, left: await listTree(directory) }
  } finally {
    proxy.close()
  }
}

const interrupted = { status: 130, stderr: 'pbmanifest: interrupted\n', left: undefined }

const steps: readonly (readonly [Kind, string, Moment])[] = [
  ['sql', 'startup', 'asked'],
  ['sql', 'pg_tblspc', 'asked'],
  ['sql', 'CREATE_REPLICATION_SLOT', 'asked'],
  ['sql', 'backup_start', 'asked'],
  ['sql', 'backup_start', 'heard'],
  ['sql', 'date_part', 'asked'],
  ['sql', 'START_REPLICATION', 'heard'],
  ['sql', 'SELECT place, size, modified', 'asked'],
  ['sql', 'textsend(labelfile)', 'asked'],
  ['sql', 'CopyDone', 'asked'],
  ['agent', 'startup', 'asked'],
  ['agent', 'IDENTIFY_CLUSTER', 'asked'],
  ['agent', 'START_BACKUP', 'asked'],
  ['agent', 'JOIN_BACKUP', 'asked'],
  ['agent', 'LIST_FILES', 'asked'],
  ['agent', 'SEND_FILE', 'asked'],
  ['agent', 'STOP_BACKUP', 'asked'],
  ['agent', 'BUILD_MANIFEST', 'asked'],
]

describe('SIGINT ends a backup when nothing comes from the other side any more', () => {
  test.concurrent.for(steps)('%s: %s is %s', async ([kind, request, moment], { expect }) => {
    expect(await interruptFrozen(kind, request, moment)).toEqual(interrupted)
  })

  test('and nothing is left on the server and at the agent', async () => {
    await expectNothingLeft(cluster)
    await expect.poll(() => agent.fragments(), { timeout: 120_000 }).toEqual([])
  })
})

describe('--io-timeout ends a backup when nothing comes from the other side any more', () => {
  // An agent is given 15 s at the least.
  test.concurrent.for(steps)('%s: %s is %s', async ([kind, request, moment], { expect }) => {
    const result = await backUpFrozen({ kind, request, moment, args: ['--io-timeout=2'] })
    expect(result).toEqual({
      status: 6,
      stderr: expect.stringMatching(
        /^pbmanifest: error: .*: no answer for (?:2|15) s, as long as --io-timeout allows\n(?:pbmanifest: .*\n)*$/,
      ),
      left: undefined,
    })
  })

  test('and nothing is left on the server and at the agent', async () => {
    await expectNothingLeft(cluster)
    await expect.poll(() => agent.fragments(), { timeout: 120_000 }).toEqual([])
  })
})

describe('SIGINT ends a backup when all processes on the other side are stopped', () => {
  test.each([
    ['sql', 'startup'],
    ['sql', 'backup_start'],
    ['sql', 'SELECT place, size, modified'],
    ['agent', 'SEND_FILE'],
    ['agent', 'STOP_BACKUP'],
  ] as const)('%s: at %s', async (kind, request) => {
    let stopped: number[] = []
    const freeze = (): void => {
      stopped = (kind === 'sql' ? serverProcesses(cluster) : [agent.process.pid ?? 0]).filter((pid) =>
        signal(pid, 'SIGSTOP'),
      )
    }
    try {
      expect(await interruptFrozen(kind, request, 'asked', freeze)).toEqual(interrupted)
    } finally {
      for (const pid of stopped) signal(pid, 'SIGCONT')
    }
    await expectNothingLeft(cluster)
  })
})

/** @returns false when it has ended */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch (error) {
    if (describeSystemError(error)?.code === 'ESRCH') return false
    throw error
  }
}

/** The postmaster and its children. */
function serverProcesses(cluster: Cluster): number[] {
  const postmaster = cluster.pid() ?? 0
  const children = readdirSync('/proc').filter((name) => {
    try {
      return (
        /^\d+$/.test(name) &&
        readFileSync(`/proc/${name}/stat`, 'latin1').split(') ')[1]?.split(' ')[1] === String(postmaster)
      )
    } catch {
      return false
    }
  })
  return [postmaster, ...children.map(Number)]
}
