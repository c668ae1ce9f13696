import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import { createStandby } from '../../../helpers/standby.js'
import { TcpProxy } from '../../../helpers/tcp-proxy.js'
import { AgentProgram } from '../../agent/agent-program.js'
import { expectNothingLeft, listTree, runBackupProgram } from '../../client/backup-program.js'

const timeout = 240_000
const role = readFileSync('docs/backup-role.sql', 'utf8')

function isReplication(packet: string): boolean {
  return packet.includes('replication\0true')
}

/** How it begins to say which agent it is. */
function nameOf({ process }: AgentProgram): string {
  return `the agent with process ${String(process.pid)} on ${hostname()} (running since `
}

describeWithDebianPostgres('one address, several servers', (programs) => {
  let primary: Cluster
  let standby: Cluster
  beforeAll(async () => {
    primary = await createCluster(programs)
    await primary.sql(role)
    standby = await createStandby(primary)
  }, timeout)
  afterAll(async () => {
    await standby.remove()
    await primary.remove()
  })

  async function backUp(
    route: (startupPacket: string, number: number) => Cluster,
    ...args: readonly string[]
  ): Promise<{ status: number | null; stderr: string; left: readonly string[] | undefined }> {
    const scratch = createScratchDirectory()
    onTestFinished(() => scratch.remove())
    const proxy = await TcpProxy.listen(route)
    onTestFinished(() => proxy.close())
    const directory = join(scratch.path, 'backup')
    const { status, stderr } = await runBackupProgram(primary, {
      directory,
      args: ['--jobs=3', ...args],
      env: {
        PGHOST: '127.0.0.1',
        PGPORT: String(proxy.port),
        PGSSLMODE: 'disable',
        PGUSER: 'pbmanifest',
        PGDATABASE: 'postgres',
      },
    })
    return { status, stderr, left: await listTree(directory) }
  }

  // The program connects once to see whether there has to be a password, then come the leader's two connections.
  const routes: readonly [string, (packet: string, number: number) => boolean][] = [
    ['in turn', (_, number) => number % 2 === 0],
    ["the leader's second connection", (_, number) => number === 2],
    // All of them: one alone could come when the others have copied everything, and then nobody asks it anything.
    ["the workers' connections", (packet, number) => number > 2 && !isReplication(packet)],
    ['the connection for WAL', (packet) => isReplication(packet)],
  ]

  describe.each(['the primary', 'the standby'])('most reach %s', (most) => {
    const servers = (): [Cluster, Cluster] =>
      most === 'the primary' ? [primary, standby] : [standby, primary]

    test('all reach it: a backup by the documented role', { timeout }, async () => {
      expect(await backUp(() => servers()[0])).toMatchObject({ status: 0 })
    })

    test.each(routes)('%s to the other: no backup', { timeout }, async (_, reachesOther) => {
      const [one, other] = servers()
      const { status, stderr, left } = await backUp((packet, number) =>
        reachesOther(packet, number) ? other : one,
      )
      expect({ status, stderr }).toEqual({
        status: 6,
        stderr: expect.stringMatching(
          /error: a connection reached another server than the one that is backed up\npbmanifest: detail: Backed up is .*running since .*\npbmanifest: detail: The connection reached .*\npbmanifest: hint: A load balancer/,
        ),
      })
      expect(left).toBeUndefined()
      await expectNothingLeft(one)
      await expectNothingLeft(other)
    })
  })

  test('a run with an agent: its server is not the one that the WAL comes from', { timeout }, async () => {
    const agent = await AgentProgram.start(primary)
    onTestFinished(async () => void (await agent.stop()))
    const agentOption = `--agent=host=${agent.socketDirectory} port=${String(agent.port)} user=backup`
    const { status, stderr } = await backUp(() => standby, agentOption)
    expect({ status, stderr }).toEqual({
      status: 6,
      stderr: expect.stringContaining('a connection reached another server than the one that is backed up'),
    })
    expect(await backUp(() => primary, agentOption)).toMatchObject({ status: 0 })
  })

  test('a run with an agent: the connection of a worker reaches another agent', { timeout }, async () => {
    const agents = [await AgentProgram.start(primary), await AgentProgram.start(primary)] as const
    onTestFinished(async () => void (await Promise.all(agents.map((agent) => agent.stop()))))
    const [leading, other] = agents
    // The program connects once to see whether there has to be a password, then comes the leader.
    const proxy = await TcpProxy.listen((_, number) => (number < 3 ? leading : other))
    onTestFinished(() => proxy.close())
    const option = `--agent=host=127.0.0.1 port=${proxy.port} user=backup sslmode=disable`
    const { status, stderr, left } = await backUp(() => primary, option)
    expect({ status, stderr }).toEqual({
      status: 6,
      stderr: expect.stringContaining(
        'a connection reached another agent than the one that leads the backup',
      ),
    })
    expect(stderr).toContain(`The backup is led by ${nameOf(leading)}`)
    expect(stderr).toContain(`The connection reached ${nameOf(other)}`)
    expect(stderr).toContain('A load balancer, or an address that moves, may be between')
    expect(left).toBeUndefined()
    await expectNothingLeft(primary)
  })
})
