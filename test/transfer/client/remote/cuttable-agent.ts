import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'
import type { AgentProgram } from '../../agent/agent-program.js'

/** The name of an agent's Unix socket. */
const socketName = '.s.PGSQL.5433'

/** A place that leads to an agent, and where connections can be cut. */
export interface CuttableAgent {
  readonly place: string
  /** Cuts the connection that was made last. */
  cutLast(): void
  close(): Promise<void>
}

export async function startCuttable(agent: AgentProgram): Promise<CuttableAgent> {
  const scratch = createScratchDirectory()
  const sockets: Socket[] = []
  const server = createServer((client) => {
    const upstream = connect(join(agent.socketDirectory, socketName))
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
