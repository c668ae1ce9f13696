import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { AgentProgram } from '../agent/agent-program.js'
import { expectNothingLeft, listTree, startBackupProgram } from './backup-program.js'

let cluster: Cluster
let agent: AgentProgram
let scratch: ScratchDirectory

beforeAll(async () => {
  const settings = { archive_mode: true, archive_command: 'false' }
  cluster = await createCluster(await embeddedPostgres(), { settings })
  agent = await AgentProgram.start(cluster)
  scratch = createScratchDirectory()
})

afterAll(async () => {
  await agent.stop()
  await cluster.remove()
  scratch.remove()
})

test.each([
  ['over SQL', () => []],
  ['from an agent', () => [`--agent=${agent.socketDirectory}`]],
] as const)(
  '%s, a backup that waits for an archive that fails says what it waits for',
  async (what, more) => {
    const directory = join(scratch.path, what)
    const args = ['--jobs=1', '--wal-method=none', '--progress', ...more()]
    const running = startBackupProgram(cluster, { directory, args })
    let stderr = ''
    running.process.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    await poll('the notice', () =>
      Promise.resolve(stderr.includes('waiting for required WAL segments to be archived\n')),
    )
    expect(stderr).toMatch(/^waiting for checkpoint\n/)
    // Progress may have been shown since.
    expect(stderr).toContain(
      '\npbmanifest: base backup done, waiting for required WAL segments to be archived\n',
    )
    running.process.kill('SIGINT')
    expect(await running.result).toMatchObject({ status: 130 })
    expect(await listTree(directory)).toBeUndefined()
    await expectNothingLeft(cluster)
  },
)
