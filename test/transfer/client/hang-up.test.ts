import type { ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { mainFile } from '../../cli/pbmanifest.js'
import { type Cluster, createCluster } from '../../helpers/cluster.js'
import { poll } from '../../helpers/poll.js'
import { embeddedPostgres } from '../../helpers/postgres-programs.js'
import { plainEnvironment } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { hasTerminals, startOnTerminal } from '../../helpers/terminal.js'
import { expectNothingLeft, listTree, startBackupProgram, untilCopying } from './backup-program.js'

const hasTerminal = await hasTerminals()

describe('a backup whose terminal hangs up', () => {
  let cluster: Cluster
  let scratch: ScratchDirectory

  beforeAll(async () => {
    cluster = await createCluster(await embeddedPostgres())
  })

  beforeEach(() => {
    scratch = createScratchDirectory()
  })

  afterEach(() => scratch.remove())

  afterAll(async () => {
    await cluster.remove()
  })

  // Node does away with what nohup has set.
  test('goes on when it was started by nohup and has no terminal', async () => {
    const running = startBackupProgram(cluster, {
      directory: join(scratch.path, 'backup'),
      args: ['--max-rate=7M'],
      wrapper: ['nohup'],
    })
    await untilCopying(running)
    running.process.kill('SIGHUP')
    expect(await running.result).toMatchObject({ status: 0, stderr: '' })
  })

  /** Runs a backup as a shell does that is told of its terminal's end, until it copies; returns the terminal. */
  async function startOnShell(directory: string, onHangup: string, rate: string): Promise<ChildProcess> {
    const terminal = startOnTerminal(
      `"${process.execPath}" "${mainFile}" backup -D "${directory}" -P -c fast --max-rate=${rate} & program=$!
       trap '${onHangup}' HUP; wait $program; wait $program; echo $? > "${statusFile()}"`,
      { ...plainEnvironment(), ...cluster.environment() },
    )
    await untilCopying({ directory, result: new Promise(() => {}), process: terminal })
    return terminal
  }

  function statusFile(): string {
    return join(scratch.path, 'status')
  }

  async function statusAtEnd(): Promise<string> {
    let status = ''
    await poll('the end', async () => {
      status = await readFile(statusFile(), 'utf8').catch(() => '')
      return status !== ''
    })
    return status
  }

  test.runIf(hasTerminal)('cleans up when it has one', async () => {
    const directory = join(scratch.path, 'backup')
    const terminal = await startOnShell(directory, 'kill -HUP $program', '1M')
    terminal.kill('SIGKILL')
    expect(await statusAtEnd()).toBe('129\n')
    expect(await listTree(directory)).toBeUndefined()
    await expectNothingLeft(cluster)
  })

  test.runIf(hasTerminal)('goes on when its shell does not tell it (disown)', async () => {
    const directory = join(scratch.path, 'backup')
    const terminal = await startOnShell(directory, ':', '10M')
    terminal.kill('SIGKILL')
    expect(await statusAtEnd()).toBe('0\n')
    expect(await listTree(directory)).toContain('backup_manifest')
  })
})
