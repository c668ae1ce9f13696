import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { FaultProxy, type Moment } from '../../helpers/fault-proxy.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { expectNothingLeft, listTree, runBackupProgram } from './backup-program.js'
import { failureOf } from './failure-of.js'

let cluster: Cluster
let scratch: ScratchDirectory

beforeAll(async () => {
  cluster = await createCluster(await embeddedPostgres())
  scratch = createScratchDirectory()
})

afterAll(async () => {
  await cluster.remove()
  scratch.remove()
})

const loss = 'lost the connection to the server: server closed the connection unexpectedly'

function isReading(text: string): boolean {
  return text.includes('SELECT place, size, modified')
}

// At the second moment all of an answer is there but its end: nothing of it is asked for again.
test.each<{ moment: Moment }>([{ moment: 'asked' }, { moment: 'answered' }])(
  'a worker whose connection is cut when its files are $moment goes on over another one',
  async ({ moment }) => {
    const proxy = await FaultProxy.start(cluster.socketDirectory, cluster.port)
    const directory = join(scratch.path, moment)
    let cuts = 0
    proxy.at = ({ text }, now, connection) => {
      if (isReading(text) && now === moment && cuts++ === 0) connection.cut()
    }
    try {
      const args = ['--jobs=1', '--verify']
      const result = await runBackupProgram(cluster, { directory, args, env: { PGHOST: proxy.directory } })
      expect(result.stderr).toBe(
        `pbmanifest: warning: worker 0 has connected again, attempt 1 of 3: ${loss}\n`,
      )
      expect(result).toMatchObject({ status: 0 })
      expect(result.stdout).toContain('backup successfully verified')
      await expectNothingLeft(cluster)
    } finally {
      proxy.close()
    }
  },
)

test('when there is no connection after all attempts, the loss is the one error', async () => {
  const proxy = await FaultProxy.start(cluster.socketDirectory, cluster.port)
  const directory = join(scratch.path, 'in-vain')
  let isCut = false
  let attempts = 0
  proxy.at = ({ text }, now, connection) => {
    if (isReading(text) && now === 'asked') isCut = true
    if (isCut && text === 'startup' && now === 'asked') attempts++
    if (isCut && now === 'asked' && (isReading(text) || text === 'startup')) connection.cut()
  }
  try {
    const args = ['--jobs=1', '--retries=2']
    const result = await runBackupProgram(cluster, { directory, args, env: { PGHOST: proxy.directory } })
    expect(failureOf(result)).toEqual({ status: 6, error: `pbmanifest: error: ${loss}` })
    expect(result.stderr).toContain('pbmanifest: detail: It was tried 2 times to connect again.\n')
    expect(attempts).toBeGreaterThanOrEqual(2)
    expect(await listTree(directory)).toBeUndefined()
    await expectNothingLeft(cluster)
  } finally {
    proxy.close()
  }
})
