import { closeSync, openSync, readdirSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { FaultProxy, type Moment, type ProxiedConnection, type Request } from '../../helpers/fault-proxy.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { poll } from '../../helpers/poll.js'
import { mountSmallDisk } from '../../helpers/small-disk.js'
import { AgentProgram } from '../agent/agent-program.js'
import { expectNothingLeft, listTree, runBackupProgram } from './backup-program.js'
import { failureOf } from './failure-of.js'
import { wal } from './wal-receiver/scripted-server.js'

/** Backups at the same time: most of each is waiting. */
const AT_ONCE = 3

/** Of requests that are the same, so many are gone through: the connections are of different participants. */
const mostOfOneKind = (text: string): number => (text.startsWith('startup') ? 4 : 1)

let cluster: Cluster
let agent: AgentProgram
let scratch: ScratchDirectory

beforeAll(async () => {
  cluster = await createCluster(await embeddedPostgres(), {
    settings: { max_wal_senders: 20, max_connections: 60 },
  })
  agent = await AgentProgram.start(cluster)
  scratch = createScratchDirectory()
})

afterAll(async () => {
  await agent.stop()
  await cluster.remove()
  scratch.remove()
})

/** Where faults happen: on the way to the database server, or to an agent. */
const places = {
  'the database server': {
    start: () => FaultProxy.start(cluster.socketDirectory, cluster.port),
    backup: ({ directory }: FaultProxy) => ({
      args: ['--jobs=1', '--retries=0'],
      env: { PGHOST: directory },
    }),
  },
  'the agent': {
    start: () => FaultProxy.start(agent.socketDirectory, agent.port),
    backup: ({ directory }: FaultProxy) => ({
      args: ['--jobs=1', '--retries=0', `--agent=${directory}`],
      env: {},
    }),
  },
} as const

type Place = (typeof places)[keyof typeof places]

let runs = 0

/** Takes a backup over a proxy, to which something may happen; returns what is wrong with its end. */
async function judge(place: Place, at: FaultProxy['at'], mayWork: boolean): Promise<unknown[]> {
  const proxy = await place.start()
  proxy.at = at
  const directory = join(scratch.path, `backup-${runs++}`)
  try {
    const result = await runBackupProgram(cluster, { directory, ...place.backup(proxy) })
    const left = await listTree(directory)
    if (mayWork && result.status === 0 && left?.includes('backup_manifest')) return []
    const { status, error } = failureOf(result)
    return status === 6 && left === undefined ? [] : [{ status, error, left }]
  } catch (error) {
    return [error]
  } finally {
    proxy.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/** A request of a backup: the first of its kind is 1. */
interface Step {
  readonly text: string
  readonly number: number
}

/** All requests of a backup, when nothing happens. */
async function listSteps(place: Place): Promise<Step[]> {
  const seen = new Map<string, number>()
  const wrong = await judge(
    place,
    ({ text }, moment) => {
      if (moment === 'asked') seen.set(text, (seen.get(text) ?? 0) + 1)
    },
    true,
  )
  expect(wrong).toEqual([])
  // Goodbyes are not answered.
  seen.delete('Terminate')
  return [...seen].flatMap(([text, times]) =>
    Array.from({ length: Math.min(times, mostOfOneKind(text)) }, (_, index) => ({ text, number: index + 1 })),
  )
}

/** Does it once, at this step. */
function once(
  { text, number }: Step,
  moment: Moment,
  act: (connection: ProxiedConnection) => void,
): { readonly at: FaultProxy['at']; readonly hasFired: () => boolean } {
  let seen = 0
  return {
    at: (request: Request, now, connection) => {
      if (request.text === text && now === moment && ++seen === number) act(connection)
    },
    hasFired: () => seen >= number,
  }
}

/** What the network watch asks is for the report only, and the last of several connections may be its. */
function isHarmless({ text, number }: Step): boolean {
  return text === 'CopyDone' || text.includes('ClientWrite') || number > 3
}

describe.each(Object.entries(places))('a backup whose connection to %s is cut', (_name, place) => {
  // The hardest moment: it was done, and nobody knows.
  test('before an answer is heard fails cleanly, whichever answer', { timeout: 300_000 }, async () => {
    const waiting = await listSteps(place)
    expect(waiting.length).toBeGreaterThan(10)
    const wrong: unknown[] = []
    const work = async (): Promise<void> => {
      for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
        const fault = once(step, 'answered', (connection) => connection.cut())
        const problems = await judge(place, fault.at, isHarmless(step))
        if (!fault.hasFired() && step.number === 1) problems.push('it was not asked')
        if (problems.length > 0) wrong.push({ step, problems })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    expect(wrong).toEqual([])
    await expectNothingLeft(cluster)
    await poll('the fragments to be gone', () => Promise.resolve(agent.fragments().length === 0))
  })
})

describe('a backup whose WAL receiver fails when backup mode has ended', () => {
  test.each([
    ['its connection is cut', (connection: ProxiedConnection) => connection.cut(), 6],
    ['WAL of elsewhere comes', (connection: ProxiedConnection) => connection.say(wal(1n, Buffer.of(1))), 6],
  ] as const)('%s', async (_what, fail, expected) => {
    const place = places['the database server']
    const proxy = await place.start()
    const directory = join(scratch.path, `backup-${runs++}`)
    let receiver: ProxiedConnection | undefined
    proxy.at = async ({ text }, moment, connection) => {
      if (text.startsWith('START_REPLICATION') && moment === 'heard') receiver = connection
      if (!text.includes('textsend(labelfile)') || receiver === undefined) return
      // It must not have all WAL already when it fails: then it is done, and hears nothing more.
      if (moment === 'asked') receiver.hold()
      if (moment === 'heard') fail(receiver)
    }
    try {
      const result = await runBackupProgram(cluster, { directory, ...place.backup(proxy) })
      expect(failureOf(result)).toMatchObject({ status: expected })
      expect(receiver).toBeDefined()
      expect(await listTree(directory)).toBeUndefined()
      await expectNothingLeft(cluster)
    } finally {
      proxy.close()
    }
  })
})

describe('a backup whose disk is full', () => {
  test.each([
    ['the database server', 'START_REPLICATION', 'asked'],
    ['the database server', 'SELECT place, size, modified', 'asked'],
    ['the database server', 'textsend(labelfile)', 'answered'],
    ['the agent', 'JOIN_BACKUP', 'asked'],
    ['the agent', 'STOP_BACKUP', 'answered'],
    ['the agent', 'BUILD_MANIFEST', 'asked'],
  ] as const)('since %s was asked %s', async (name, request, when) => {
    const disk = join(scratch.path, `disk-${runs++}`)
    const unmount = mountSmallDisk(disk, 'size=128m')
    if (unmount === undefined) {
      process.stderr.write('\nSKIPPED "a backup whose disk is full": we may not mount a tmpfs\n\n')
      return
    }
    const place = places[name]
    const proxy = await place.start()
    proxy.at = ({ text }, moment) => {
      if (text.includes(request) && moment === when) fill(disk)
    }
    try {
      const result = await runBackupProgram(cluster, {
        directory: join(disk, 'backup'),
        ...place.backup(proxy),
      })
      expect(failureOf(result)).toEqual({
        status: 5,
        error: expect.stringContaining('No space left on device'),
      })
      expect(readdirSync(disk)).toEqual(['filler'])
      await expectNothingLeft(cluster)
      await poll('the fragments to be gone', () => Promise.resolve(agent.fragments().length === 0))
    } finally {
      proxy.close()
      unmount()
    }
  })
})

/** Until nothing more goes onto it. */
function fill(disk: string): void {
  const file = openSync(join(disk, 'filler'), 'a')
  try {
    for (const size of [1 << 20, 1 << 12]) {
      for (;;) {
        try {
          writeSync(file, Buffer.alloc(size))
        } catch {
          break
        }
      }
    }
  } finally {
    closeSync(file)
  }
}
