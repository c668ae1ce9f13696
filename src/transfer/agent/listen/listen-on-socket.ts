import { lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { PbManifestError } from '../../../errors.js'
import { describeSystemError, ioError } from '../../../files/system-error.js'
import { whenListening } from './listen-on-address.js'

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

/** So long, in milliseconds, it may take from finding a stale socket to having replaced it. */
const REPLACING_MS = 100

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
    await bind(server, path, place.mode)
    return server
  } catch (error) {
    if (describeSystemError(error)?.code !== 'EADDRINUSE') throw describe(path, error)
  }
  await removeStale(path)
  try {
    const inode = await bind(server, path, place.mode)
    await requireLasting(server, path, inode)
    return server
  } catch (error) {
    throw describe(path, error)
  }
}

/**
 * Another one that started in the same moment may have taken our socket for the stale one, and have replaced it with its
 * own. It goes on, and we do not.
 */
async function requireLasting(server: Server, path: string, inode: number | undefined): Promise<void> {
  await sleep(REPLACING_MS)
  if (inodeOf(path) === inode) return
  // To close it would remove what is there now.
  server.unref()
  throw inUse(path)
}

/**
 * Makes the socket with its permissions: with `chmod` afterwards, there would be a moment for anybody to connect in. The
 * socket is made within the call of `listen`, so nothing else of this thread sees the umask; other threads give the
 * files that they make a mode.
 *
 * @returns the inode of the socket
 */
async function bind(server: Server, path: string, mode: number): Promise<number | undefined> {
  const umask = process.umask(0o777 & ~mode)
  const listening = whenListening(server)
  let inode: number | undefined
  try {
    server.listen(path)
    inode = inodeOf(path)
  } finally {
    process.umask(umask)
  }
  await listening
  return inode
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino
}

async function removeStale(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) {
      throw new PbManifestError('IO', `could not create Unix socket "${path}": it exists and is no socket`)
    }
    if (await isAnswered(path)) throw inUse(path)
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

function inUse(path: string): PbManifestError {
  return new PbManifestError('IO', `could not create Unix socket "${path}": Address already in use`, {
    hint: 'Is another agent running already? Give this one another --port or --socket-dir.',
  })
}

function describe(path: string, error: unknown): unknown {
  return ioError(`could not create Unix socket "${path}"`, error)
}
