import { lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { PbManifestError } from '../../../errors.js'
import { describeSystemError, ioError } from '../../../files/system-error.js'
import { whenListening } from './when-listening.js'

/** Where the socket is. */
export interface SocketPlace {
  readonly directory: string
  /** Of its name, as libpq looks for it; not of a network. */
  readonly port: number
  /** Its permissions, such as 0o700. Who may write to it may connect. */
  readonly mode: number
}

/** What the address of a Unix socket has room for, without the NUL at its end. */
const MAX_PATH_BYTES = 107

/** The name that libpq gives a socket. */
export function socketPath({ directory, port }: SocketPlace): string {
  return `${directory}/.s.PGSQL.${port}`
}

/**
 * Listens on a Unix socket. One that is left of an agent which is no more is replaced.
 *
 * @throws {@link PbManifestError} `IO`, also when somebody listens there; `USAGE` when the path is too long
 */
export async function listenOnSocket(
  place: SocketPlace,
  onConnection: (socket: Socket) => void,
): Promise<Server> {
  const path = socketPath(place)
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new PbManifestError(
      'USAGE',
      `Unix-domain socket path "${path}" is too long (maximum ${MAX_PATH_BYTES} bytes)`,
    )
  }
  const server = createServer(onConnection)
  try {
    return await bind(server, path, place.mode)
  } catch (error) {
    if (describeSystemError(error)?.code !== 'EADDRINUSE') throw describe(path, error)
  }
  await removeStale(path)
  try {
    return await bind(server, path, place.mode)
  } catch (error) {
    throw describe(path, error)
  }
}

/**
 * Makes the socket with its permissions: with `chmod` afterwards, there would be a moment for anybody to connect in. The
 * socket is made within the call of `listen`, so nothing else of this thread sees the umask; other threads give the
 * files that they make a mode.
 */
async function bind(server: Server, path: string, mode: number): Promise<Server> {
  const umask = process.umask(0o777 & ~mode)
  const listening = whenListening(server)
  try {
    server.listen(path)
  } finally {
    process.umask(umask)
  }
  await listening
  return server
}

async function removeStale(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) {
      throw new PbManifestError('IO', `could not create Unix socket "${path}": it exists and is no socket`)
    }
    if (await isAnswered(path)) {
      throw new PbManifestError('IO', `could not create Unix socket "${path}": Address already in use`, {
        hint: 'Is another agent running already? Give this one another --port or --socket-dir.',
      })
    }
    unlinkSync(path)
  } catch (error) {
    throw describe(path, error)
  }
}

/** Whether somebody listens. Only a refusal says that nobody does. */
async function isAnswered(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => resolve(describeSystemError(error)?.code !== 'ECONNREFUSED'))
  })
}

function describe(path: string, error: unknown): unknown {
  return ioError(`could not create Unix socket "${path}"`, error)
}
