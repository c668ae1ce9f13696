import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PbManifestError } from '../../../../src/errors.js'
import { AgentConnection } from '../../../../src/transfer/client/source/agent-connection.js'
import type { Answer } from '../../../../src/transfer/commands/command-contract.js'
import { resolveConnection } from '../../../../src/transfer/connection/settings/resolve-connection.js'
import { type Cluster, createCluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'

// A WAL sender is the peer here: what an agent speaks is its protocol.
describeWithDebianPostgres('a connection for replication commands', (programs) => {
  let cluster: Cluster
  let connection: AgentConnection
  let notices: string[]
  let losses: PbManifestError[]

  beforeAll(async () => {
    cluster = await createCluster(programs)
  })

  afterAll(async () => {
    await cluster.remove()
  })

  async function open(): Promise<void> {
    notices = []
    losses = []
    const { options } = resolveConnection(
      {},
      { variables: cluster.environment(), homeDirectory: '/', userName: '' },
    )
    connection = await AgentConnection.open(options, {
      onNotice: ({ message }) => notices.push(message),
      onLost: (error) => losses.push(error),
      signal: AbortSignal.timeout(240_000),
    })
  }

  async function run(text: string, signal?: AbortSignal): Promise<Answer[]> {
    const answers: Answer[] = []
    for await (const batch of connection.run(text, signal)) answers.push(...batch)
    return answers
  }

  const slowCopy = `BASE_BACKUP (LABEL 'x', CHECKPOINT 'fast', MAX_RATE 32)`
  const showVersion = async (): Promise<Answer[]> => await run('SHOW server_version_num')
  const version = [
    { type: 'columns', names: ['server_version_num'] },
    { type: 'row', values: [expect.stringMatching(/^15/)] },
    { type: 'complete', tag: 'SHOW' },
  ]

  test('gives answers, one command after the other, also when they are not waited for', async () => {
    await open()
    expect(await Promise.all([showVersion(), showVersion()])).toEqual([version, version])
    await connection.close()
    expect(losses).toEqual([])
  })

  test('gives the error of a command, and takes the next', async () => {
    await open()
    await expect(run('CREATE_REPLICATION_SLOT "A B" TEMPORARY PHYSICAL')).rejects.toMatchObject({
      code: 'SERVER',
      message: 'replication slot name "A B" contains invalid character',
      hint: 'Replication slot names may only contain lower case letters, numbers, and the underscore character.',
    })
    await expect(run('IDENTIFY_CLUSTER')).rejects.toMatchObject({
      message: 'cannot execute SQL commands in WAL sender for physical replication',
      hint: 'This may not be an agent of pbmanifest, or not one of this version.',
    })
    await expect(run('IDENTIFY_SYSTEM 1')).rejects.toMatchObject({
      message: 'syntax error',
      hint: 'This may not be an agent of pbmanifest, or not one of this version.',
    })
    expect(await showVersion()).toEqual(version)
    await connection.close()
  })

  test('takes the data of COPY as slowly as its consumer, and notices on the way', async () => {
    await open()
    let bytes = 0
    let largest = 0
    for await (const batch of connection.run(`BASE_BACKUP (LABEL 'x', CHECKPOINT 'fast')`)) {
      const inBatch = batch.reduce(
        (sum, answer) => sum + (answer.type === 'data' ? answer.bytes.length : 0),
        0,
      )
      bytes += inBatch
      largest = Math.max(largest, inBatch)
      if (inBatch > 0) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(bytes).toBeGreaterThan(14_000_000)
    // One more chunk than makes it stop
    expect(largest).toBeLessThan((1 << 20) + 65_536)
    expect(notices).toEqual([expect.stringMatching(/^WAL archiving is not enabled/)])
    await connection.close()
  })

  test('is in step again after somebody left a COPY early, and after a cancelled one', async () => {
    await open()
    for await (const batch of connection.run(`BASE_BACKUP (LABEL 'x', CHECKPOINT 'fast')`)) {
      if (batch.some(({ type }) => type === 'data')) break
    }
    expect(connection.isBusy).toBe(true)
    expect(await showVersion()).toEqual(version)
    const left = new AbortController()
    const stopped = async (): Promise<void> => {
      for await (const batch of connection.run(slowCopy, left.signal)) {
        // A request to cancel what does not run yet is in vain.
        if (batch.some(({ type }) => type === 'data')) left.abort()
      }
    }
    await expect(stopped()).rejects.toMatchObject({ code: 'ABORTED' })
    await connection.cancel()
    expect(await showVersion()).toEqual(version)
    await connection.close()
  })

  test('is lost with the words of the server, while it is idle and while it is not', async () => {
    await open()
    await endWalSenders()
    await poll('the loss to be told', () => Promise.resolve(losses.length > 0))
    const words = 'terminating connection due to administrator command'
    expect(losses).toEqual([expect.objectContaining({ code: 'SERVER', message: words })])
    await expect(showVersion()).rejects.toThrow(words)

    await open()
    await Promise.all([expect(run(slowCopy)).rejects.toThrow(words), endWalSenders()])
    expect(losses).toHaveLength(1)
    await connection.close()
  })

  test('is lost with our words when there are none', async () => {
    await open()
    const running = run(slowCopy)
    connection.client.connection.stream.destroy()
    const message = 'lost the connection to the agent: server closed the connection unexpectedly'
    await expect(running).rejects.toMatchObject({ code: 'SERVER', message })
    expect(losses).toEqual([expect.objectContaining({ message })])
  })

  test('is not lost when it is ended here', async () => {
    await open()
    const running = run(slowCopy)
    connection.destroy()
    await expect(running).rejects.toMatchObject({ code: 'SERVER' })
    expect(losses).toEqual([])
  })

  async function endWalSenders(): Promise<void> {
    await poll('a WAL sender to end', async () => {
      const rows = await cluster.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'`,
      )
      return rows.length > 0
    })
  }
})
