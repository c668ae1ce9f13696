import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Cluster } from '../../../helpers/cluster.js'
import { poll } from '../../../helpers/poll.js'
import { plainEnvironment } from '../../../helpers/run-program.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import { mainFile } from '../../../cli/pbmanifest.js'

/** The name of an agent's Unix socket. */
const socketName = '.s.PGSQL.5433'

/** A `pbmanifest serve` that runs. */
export interface RunningAgent {
  readonly process: ChildProcess
  /** The directory of its socket: what `--agent` is given. */
  readonly place: string
  /** The fragments that there are. */
  fragments(): readonly string[]
  /** Ends it at once. */
  kill(): Promise<void>
  /** Ends it, if it runs, and removes its files. */
  remove(): Promise<void>
}

/** Starts the built program beside a cluster, and waits until it answers. */
export async function startAgentProgram(cluster: Cluster): Promise<RunningAgent> {
  const scratch = createScratchDirectory()
  const args = [
    'serve',
    `--pgdata=${cluster.dataDirectory}`,
    `--server=host=${cluster.socketDirectory} user=postgres`,
    `--socket-dir=${scratch.path}`,
    '--log-level=warn',
  ]
  const child = spawn(process.execPath, [mainFile, ...args], {
    cwd: '/',
    env: { ...plainEnvironment(), TMPDIR: scratch.path },
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString()
  })
  const exit = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
  })
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exit
  }
  await poll('the agent to answer', () => {
    if (child.exitCode !== null) throw new Error(`the agent ended: ${log}`)
    return canConnect(join(scratch.path, socketName))
  })
  return {
    process: child,
    place: scratch.path,
    fragments: () =>
      readdirSync(scratch.path, { recursive: true, encoding: 'utf8' }).filter((name) =>
        name.includes('backup_manifest'),
      ),
    kill,
    remove: async () => {
      await kill()
      scratch.remove()
    },
  }
}

async function canConnect(path: string): Promise<boolean> {
  return await new Promise<boolean>((resolve) => {
    const socket = connect(path)
    socket.on('error', () => resolve(false))
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

/** A place that leads to an agent, and where connections can be cut. */
export interface CuttableAgent {
  readonly place: string
  /** Cuts the connection that was made last. */
  cutLast(): void
  close(): Promise<void>
}

export async function startCuttable(agent: RunningAgent): Promise<CuttableAgent> {
  const scratch = createScratchDirectory()
  const sockets: Socket[] = []
  const server = createServer((client) => {
    const upstream = connect(join(agent.place, socketName))
    const end = (): void => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      socket.on('error', end)
      socket.on('close', end)
    }
    client.pipe(upstream).pipe(client)
    sockets.push(client)
  })
  await new Promise<void>((resolve) => {
    server.listen(join(scratch.path, socketName), resolve)
  })
  return {
    place: scratch.path,
    cutLast: () => sockets.at(-1)?.destroy(),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      scratch.remove()
    },
  }
}
