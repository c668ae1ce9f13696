import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import {
  readConnectionEnvironment,
  resolveConnection,
  runFleetWorker,
  verifyBackup,
  type VerifyReport,
} from 'pbmanifest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runCommandLine } from '../cli/run-command-line.js'
import { type Cluster, createCluster } from '../helpers/cluster.js'
import { FaultProxy } from '../helpers/fault-proxy.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { flipBit, forgeManifest, removeFile } from '../verify/damage.js'
import type { BackupCopy } from '../helpers/copy-backup.js'
import { linkedCopy } from '../verify/linked-copy.js'
import { sameForAnyJobs } from '../verify/same-for-any-jobs.js'
import { randomNumbers } from '../shards/random-damage.js'
import { type FleetProcess, TestFleet } from './fleet-of-test.js'

/** By hand, with any seed, and with `PBMANIFEST_TEST_KILLS=50`. */
const kills = Number(process.env['PBMANIFEST_TEST_KILLS'] ?? 1)
const seed = Number(process.env['PBMANIFEST_TEST_SEED'] ?? 20261128)

describeWithDebianPostgres('a fleet on a queue', (programs) => {
  let cluster: Cluster
  let scratch: ScratchDirectory
  let backup: BackupCopy
  let root: readonly string[]
  let whole: object
  let fleet: TestFleet
  let fleets = 0

  beforeAll(async () => {
    scratch = createScratchDirectory()
    cluster = await createCluster(programs)
    await TestFleet.prepare(cluster)
    backup = await linkedCopy(await realBackup(programs))
    await removeFile(backup, 'PG_VERSION')
    await flipBit(backup, 'global/pg_filenode.map')
    root = ['--root', backup.directory]
    whole = found(await verifyBackup(backup.directory, { jobs: 1 }))
  })

  afterAll(async () => {
    backup?.remove()
    await cluster?.remove()
    scratch?.remove()
  })

  afterEach(async () => await fleet?.end())

  const newFleet = async (): Promise<TestFleet> =>
    (fleet = await TestFleet.make(cluster, `fleet_${++fleets}`))

  /** So slow that it is at its first shard for as long as anybody looks. */
  const slow = ['--max-rate', '32', '--name', 'slow', '--lease', '1s']

  /** On a host of its own, as far as that can be seen: the backup has another path on each. */
  const startNumbered = async (number: number): Promise<FleetProcess> => {
    const args = ['--lease', '3s', '--max-rate', '16M', '--name', `worker ${number}`]
    return await fleet.worker(['--root', `night=${hostDirectory(number)}`, ...args])
  }

  const hostDirectory = (number: number): string => join(scratch.path, `host ${number}`)

  const verify = async (
    args: readonly string[] = [],
    named: string = backup.directory,
  ): Promise<{ status: number; report: object }> => {
    const result = await fleet.run(['verify', '--wait', '--output=json', ...args, named])
    expect(result.stderr).toBe('')
    return { status: result.status ?? -1, report: found(JSON.parse(result.stdout) as VerifyReport) }
  }

  test('comes to the report of one machine, for each of two that ask at once', async () => {
    await newFleet()
    await fleet.worker(root)
    await fleet.worker(root)
    const both = await Promise.all([verify(['--shards', '7']), verify()])
    expect(both).toEqual([
      { status: 1, report: whole },
      { status: 1, report: whole },
    ])
    const { stdout } = await fleet.run(['status', '--output=json'])
    const { backups, workers } = JSON.parse(stdout) as { backups: object[]; workers: object[] }
    expect(workers).toHaveLength(2)
    expect(backups).toHaveLength(2)
    for (const entry of backups) {
      expect(entry).toMatchObject({ state: 'done', verdict: 'failed', waiting: 0, running: [], failures: [] })
    }
    expect((await fleet.run(['status'])).stdout).toContain('failed; of 7 shards 7 done, 0 running, 0 waiting')
  })

  test('verifies backups by the names of roots, and reports later to whoever asks', async () => {
    await newFleet()
    const enqueued = await fleet.run(['verify', 'night:.', 'night:nothing', '--shards=2', '--output=json'])
    expect(enqueued).toMatchObject({ status: 0 })
    expect(enqueued.stderr).toContain('no worker of this version has its root')
    expect((await fleet.run(['status'])).stdout).toContain(
      '"night:.": waiting; of 2 shards 0 done, 0 running, 2',
    )
    await fleet.worker(['--root', `night=${backup.directory}`])
    const { run } = JSON.parse(enqueued.stdout) as { run: string }
    const result = await fleet.run(['verify', '--wait', '--run', run])
    expect(result.status).toBe(1)
    expect(result.stderr).toContain(
      'backup at "night:.": "PG_VERSION" is present in the manifest but not on disk',
    )
    expect(result.stderr).toMatch(
      /backup at "night:nothing": could not verify shard \d of 2 in 3 attempts: could not open/,
    )
    expect(result.stderr).toContain('of 2 backups: 1 failed, 1 could not be verified')
  })

  test('has the first worker say in how many shards a large backup is verified', async () => {
    await newFleet()
    const copy = await linkedCopy(await realBackup(programs))
    try {
      await forgeManifest(copy, (text) => text.replace('"Size": 3,', '"Size": 30000000000,'))
      const own = ['--root', copy.directory]
      const enqueued = await fleet.run(['verify', copy.directory])
      expect(enqueued.stdout).toContain(`enqueued "${copy.directory}"\n`)
      expect((await fleet.run(['status'])).stdout).toContain(
        'waiting; of 1 shard 0 done, 0 running, 1 waiting',
      )
      const first = await fleet.worker(own)
      await first.says('handed in shard 1 of 1')
      await fleet.worker(own)
      const result = await fleet.run(['verify', '--wait', '--output=json', copy.directory])
      expect(result).toMatchObject({ status: 1, stderr: '' })
      const report = await verifyBackup(copy.directory, { jobs: 1 })
      expect(found(JSON.parse(result.stdout) as VerifyReport)).toEqual(found(report))
      expect((await fleet.run(['status'])).stdout).toContain(
        'failed; of 8 shards 8 done, 0 running, 0 waiting',
      )
    } finally {
      copy.remove()
    }
  })

  test('makes good for a worker that was killed', async () => {
    await newFleet()
    const victim = await fleet.worker([...root, ...slow])
    const verifying = verify(['--shards=3'])
    await victim.says('verifying shard')
    await victim.kill()
    await fleet.worker(root)
    expect(await verifying).toEqual({ status: 1, report: whole })
    expect((await fleet.run(['status'])).stdout).toContain(
      'attempt 1 failed at worker "slow": worker "slow" was not heard',
    )
  })

  test(
    `makes good for workers that are killed at random moments, ${kills} times`,
    { timeout: 120_000 + kills * 60_000 },
    async () => {
      await newFleet()
      const random = randomNumbers(seed)
      const numbers = [0, 1, 2, 3]
      for (const number of numbers) await symlink(backup.directory, hostDirectory(number))
      const workers = await Promise.all(numbers.map(startNumbered))
      for (let kill = 1; kill <= kills; kill++) {
        const verifying = verify(['--shards=9'], 'night:.')
        const number = random(4)
        // At its first shard, or at a later one, or when all is done.
        for (let events = random(3); events >= 0; events--) await workers[number]?.saysMore(verifying)
        await workers[number]?.kill()
        workers[number] = await startNumbered(number)
        const { status, report } = await verifying
        const manifest = { ...(whole as VerifyReport).manifest, path: expect.any(String) as unknown }
        const where = { directory: 'night:.', manifest }
        expect({ status, report }, `kill ${kill}, seed ${seed}`).toEqual({
          status: 1,
          report: { ...whole, ...where },
        })
      }
    },
  )

  test('makes good for a worker that hangs, which counts no shard when it goes on', async () => {
    await newFleet()
    const victim = await fleet.worker([...root, ...slow])
    const verifying = verify(['--shards=3'])
    await victim.says('verifying shard')
    victim.signal('SIGSTOP')
    await fleet.worker(root)
    expect(await verifying).toEqual({ status: 1, report: whole })
    victim.signal('SIGCONT')
    await victim.says("is not this worker's any more")
    victim.signal('SIGTERM')
    expect(await victim.ended()).toBe(0)
  })

  test('makes good for a worker that is cut off', async () => {
    await newFleet()
    const proxy = await FaultProxy.start(cluster.socketDirectory, cluster.port)
    try {
      const victim = await fleet.worker([...root, ...slow], proxy.directory)
      const verifying = verify(['--shards=3'])
      await victim.says('verifying shard')
      proxy.freeze()
      await fleet.worker(root)
      expect(await verifying).toEqual({ status: 1, report: whole })
    } finally {
      proxy.close()
    }
  })

  test('goes on when the server of the queue was restarted', async () => {
    await newFleet()
    const worker = await fleet.worker([...root, '--max-rate', '8M'])
    const verifying = fleet.start(['verify', '--wait', '--output=json', '--shards=3', backup.directory])
    await worker.says('verifying shard')
    await cluster.restart()
    await worker.says('the queue is there again')
    expect(await verifying.ended()).toBe(1)
    expect(found(JSON.parse(verifying.stdout) as VerifyReport)).toEqual(whole)
    expect(verifying.said).toContain('the queue is there again')
  })

  test('ends a worker when its shard is done, and at once when it is told so twice', async () => {
    await newFleet()
    await fleet.run(['verify', '--shards=3', backup.directory])
    const hasty = await fleet.worker([...root, ...slow])
    await hasty.says('verifying shard 1 of 3')
    hasty.signal('SIGTERM')
    await hasty.says('a second signal')
    hasty.signal('SIGTERM')
    expect(await hasty.ended()).toBe(143)
    // Slow enough for the signal to come before it takes the next.
    const patient = await fleet.worker([...root, '--max-rate', '4M'])
    await patient.says('verifying shard')
    patient.signal('SIGTERM')
    expect(await patient.ended()).toBe(0)
    expect(patient.said.match(/verifying shard/g)).toHaveLength(1)
    expect(patient.said.match(/handed in shard/g)).toHaveLength(1)
  })

  test('ends a worker at once that cannot give its shard back, for the queue does not answer', async () => {
    await newFleet()
    const proxy = await FaultProxy.start(cluster.socketDirectory, cluster.port)
    try {
      await fleet.run(['verify', '--shards=2', backup.directory])
      const victim = await fleet.worker([...root, ...slow], proxy.directory)
      await victim.says('verifying shard')
      proxy.freeze()
      victim.signal('SIGTERM')
      await victim.says('a second signal')
      victim.signal('SIGTERM')
      expect(await victim.ended()).toBe(143)
      expect(victim.said).not.toContain('gave back')
    } finally {
      proxy.close()
    }
  })

  test('leaves what is cancelled, and tells whoever waits', async () => {
    await newFleet()
    const worker = await fleet.worker([...root, ...slow])
    const enqueued = await fleet.run(['verify', '--shards=3', '--output=json', backup.directory, 'night:x'])
    const { run } = JSON.parse(enqueued.stdout) as { run: string }
    const waiting = fleet.start(['verify', '--wait', '--run', run])
    await worker.says('verifying shard')
    const both = `cancelled: "${backup.directory}"\ncancelled: "night:x"\n`
    expect(await fleet.run(['cancel', '--run', run])).toEqual({ status: 0, stdout: both, stderr: '' })
    await worker.says("is not this worker's any more")
    expect(await waiting.ended()).toBe(5)
    expect(waiting.said).toContain('backup at "night:x": cancelled on request')
    expect(await fleet.run(['cancel', '-q', '--run', run])).toEqual({ status: 0, stdout: '', stderr: '' })
    expect((await fleet.run(['status'])).stdout).toContain(
      `"${backup.directory}": failed; of 3 shards 0 done, 0 running, 0 waiting\n  cancelled on request`,
    )
    const whole = await fleet.run([
      'verify',
      '--skip-checksums',
      '--no-parse-wal',
      '--shards=1',
      '--output=json',
      backup.directory,
    ])
    const { run: ended } = JSON.parse(whole.stdout) as { run: string }
    expect(await fleet.run(['verify', '--wait', '-q', '--run', ended])).toMatchObject({ status: 1 })
    expect((await fleet.run(['cancel', '--run', ended])).stdout).toBe(
      `has ended before: "${backup.directory}"\n`,
    )
  })

  test('gives a backup up at once whose fragment is too large for a queue', async () => {
    await newFleet()
    const stop = new AbortController()
    const [, conninfo = ''] = fleet.queue()
    const { options: connection } = resolveConnection({ conninfo }, readConnectionEnvironment(process.env))
    const working = runFleetWorker({
      connection,
      schema: fleet.schema,
      roots: [backup],
      maxFragmentBytes: 100,
      signal: stop.signal,
    })
    const result = await fleet.run(['verify', '--wait', '--shards=2', backup.directory])
    stop.abort()
    await working
    expect(result.status).toBe(5)
    expect(result.stderr).toMatch(
      /could not verify shard \d of 2 in 1 attempt: the report fragment of shard \d has \d+ bytes: a queue takes 100 at most; with more shards/,
    )
  })

  test('does not count what a worker cannot see that another one can', async () => {
    await newFleet()
    const empty = join(scratch.path, 'not-mounted')
    await mkdir(empty)
    const blind = await fleet.worker(['--root', `night=${empty}`, '--name', 'blind'])
    await fleet.worker(['--root', `night=${backup.directory}`, '--max-rate', '12M'])
    const result = await fleet.run(['verify', '--wait', '--shards=4', '--output=json', 'night:./'])
    expect(result).toMatchObject({ status: 1 })
    expect(blind.said).not.toContain('handed in')
  })

  test('gives a backup up that cannot be read, with the reason, and refuses what is below no root', async () => {
    await newFleet()
    await fleet.worker(root)
    const result = await fleet.run(['verify', '--wait', '--shards=1', `${backup.directory}-other`])
    expect(result.status).toBe(5)
    expect(result.stderr).toContain('in 3 attempts: refused to verify')
    expect(result.stderr).toContain('it is below no root of this worker')
  })

  test('refuses a manifest that changed between two shards', async () => {
    await newFleet()
    const copy = await linkedCopy(await realBackup(programs))
    try {
      const own = ['--root', copy.directory]
      const enqueued = await fleet.run(['verify', '--shards=2', '--output=json', copy.directory])
      const first = await fleet.worker([...own, '--max-rate', '6M'])
      await first.says('verifying shard')
      first.signal('SIGTERM')
      await first.ended()
      await forgeManifest(copy, (text) => text.replace('"Size": 3,', '"Size": 4,'))
      await fleet.worker(own)
      const { run } = JSON.parse(enqueued.stdout) as { run: string }
      const result = await fleet.run(['verify', '--wait', '--run', run])
      expect(result.status).toBe(4)
      expect(result.stderr).toMatch(/backup with manifest checksum \w+ is that of "shard 1 by /)
    } finally {
      copy.remove()
    }
  })

  test.each([['init'], ['status'], ['worker', '--root', '/'], ['verify', '/x']])(
    'refuses a queue of a newer version: %s',
    async (...args) => {
      fleet ??= await newFleet()
      await cluster.sql(`UPDATE ${fleet.schema}.fleet SET version = 2`, 'queue')
      const result = await fleet.run(args)
      expect(result.status).toBe(6)
      expect(result.stderr).toContain(
        'is of version 2 of its format, which this version of pbmanifest does not know',
      )
    },
  )

  test('says that there is no queue, or no server', async () => {
    const missing = await runCommandLine(['fleet', 'status', ...fleet.queue(), '--schema', 'nowhere'])
    expect(missing).toMatchObject({ status: 6 })
    expect(missing.stderr).toContain('there is no queue in schema "nowhere"')
    const gone = await runCommandLine(['fleet', 'status', '--queue', `host=${scratch.path}`])
    expect(gone).toMatchObject({ status: 6 })
  })
})

describe('fleet refuses a command line', () => {
  test.each([
    [[], 'no action specified'],
    [['wroker'], 'unknown action "wroker" of fleet'],
    [['init', 'x'], 'too many command-line arguments'],
    [['init', '--root=/x'], '--root is not for fleet init'],
    [['status', '--wait'], '--wait is not for fleet status'],
    [['cancel'], '--run is needed'],
    [['cancel', '--run=1'], 'there is no verification "1" in the queue'],
    [['cancel', 'x', '--run=1'], 'too many command-line arguments'],
    [['verify', 's3://b-1/a'], 'a fleet verifies directories, and no backup in an object store'],
    [['worker', '--root=s3://b-1/a'], 'invalid value "s3://b-1/a" for option --root'],
    [['worker', '--root=night=s3://b-1/a'], 'invalid value "night=s3://b-1/a" for option --root'],
    [['worker'], 'no root specified'],
    [['worker', '--root', 'a='], 'invalid value "a=" for option --root'],
    [['worker', '--lease', '10ms'], 'invalid value "10ms" for option --lease'],
    [['verify'], 'no backup specified'],
    [['verify', '--shards=0', 'x'], 'invalid value "0" for option --shards'],
    [['verify', '--shards=1001', 'x'], 'invalid value "1001" for option --shards'],
    [['verify', '--run=1', '--wait', 'x'], 'cannot specify both --run and a backup'],
    [['verify', '--run=1', '--wait'], 'there is no verification "1" in the queue'],
    [['verify', 'a:../b'], 'invalid backup "a:../b": it leads upwards'],
    [['status', '--schema=Robert"; DROP'], 'invalid schema name'],
  ])('%j', async ([action, ...args], words) => {
    const queue = action === undefined ? [] : ['--queue', 'host=/nowhere']
    const result = await runCommandLine([
      'fleet',
      ...(action === undefined ? [] : [action]),
      ...queue,
      ...args,
    ])
    expect(result.stderr).toContain(words)
    expect(result.status).toBe(2)
  })

  test('without a queue', async () => {
    const result = await runCommandLine(['fleet', 'status'], { PBMANIFEST_QUEUE: '' })
    expect(result).toMatchObject({ status: 2 })
    expect(result.stderr).toContain('--queue is needed')
  })
})

/** Of a report, what is the same wherever it was made. */
function found(report: VerifyReport): object {
  const { host: _, options, ...rest } = sameForAnyJobs(report)
  const { maxRate: _rate, ...asked } = options
  return { ...rest, options: asked }
}
