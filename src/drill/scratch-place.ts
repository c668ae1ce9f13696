import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { displayPathname } from '../files/pathname.js'
import { ioError } from '../files/system-error.js'
import type { ServerUser } from './find-server.js'

const PREFIX = 'pbmanifest-drill-'
const OWNER_FILE = 'drill.pid'

/** The longest path of a Unix socket on Linux, and what a server's has behind the directory. */
const MAX_SOCKET_PATH_BYTES = 107
const SOCKET_NAME_BYTES = '/.s.PGSQL.5432.lock'.length

/** For so long, in seconds, a server that was left behind may take to end. */
const LEFT_SERVER_SECONDS = 10

/** The directory of a drill. Only its owner can enter it. */
export interface ScratchPlace {
  readonly path: string
  readonly data: string
  readonly tablespaces: string
  /** Short enough for a socket; elsewhere when the place is not. */
  readonly sockets: string
  /** Removes everything. */
  remove(): Promise<void>
}

/**
 * Makes the directory of a drill, and removes those of drills that were killed.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function makeScratchPlace(
  parent: string | undefined,
  user: ServerUser | undefined,
): Promise<ScratchPlace> {
  const top = parent ?? tmpdir()
  const made: string[] = []
  try {
    const real = realpathSync(top)
    await removeLeftPlaces(real)
    const path = await mkdtemp(join(real, PREFIX))
    made.push(path)
    await writeFile(join(path, OWNER_FILE), `${process.pid} ${startOf(process.pid) ?? ''}\n`)
    const data = join(path, 'data')
    const tablespaces = join(path, 'tablespaces')
    let sockets = join(path, 'sockets')
    if (Buffer.byteLength(sockets) + SOCKET_NAME_BYTES > MAX_SOCKET_PATH_BYTES) {
      sockets = await mkdtemp('/tmp/pbmanifest-drill-')
      made.push(sockets)
    } else await mkdir(sockets, { mode: 0o700 })
    for (const directory of [data, tablespaces]) await mkdir(directory, { mode: 0o700 })
    if (user !== undefined) {
      for (const each of [path, data, tablespaces, sockets]) await chown(each, user.uid, user.gid)
    }
    return { path, data, tablespaces, sockets, remove: () => removeAll(made) }
  } catch (error) {
    await removeAll(made)
    throw ioError(`could not create a directory in "${displayPathname(top)}"`, error)
  }
}

async function removeAll(directories: readonly string[]): Promise<void> {
  for (const directory of directories) await rm(directory, { recursive: true, force: true, maxRetries: 3 })
}

/** Those of drills that were killed together with what watches over their server. What cannot be removed is somebody else's. */
async function removeLeftPlaces(parent: string): Promise<void> {
  for (const name of readdirSync(parent).filter((each) => each.startsWith(PREFIX))) {
    const path = join(parent, name)
    if (!isLeft(path)) continue
    try {
      await endServerOf(join(path, 'data'))
      await removeAll([path])
    } catch {
      // The next drill tries again.
    }
  }
}

function isLeft(path: string): boolean {
  try {
    const [pid, start = ''] = readFileSync(join(path, OWNER_FILE), 'utf8').trim().split(' ')
    return !isAlive(Number(pid)) || (start !== '' && startOf(Number(pid)) !== start)
  } catch {
    // Not ours to judge: of another user, or just being made.
    return false
  }
}

async function endServerOf(data: string): Promise<void> {
  const pid = serverOf(data)
  if (pid === undefined) return
  process.kill(pid, 'SIGQUIT')
  for (let tenths = 0; tenths < LEFT_SERVER_SECONDS * 10 && isAlive(pid); tenths++) await setTimeout(100)
}

/** The server that runs in this directory and nowhere else: a number alone may be anybody's by now. */
function serverOf(data: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(join(data, 'postmaster.pid'), 'utf8'), 10)
    return readlinkSync(`/proc/${pid}/cwd`) === data ? pid : undefined
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** When a process began, in the words of the system, so that another one of its number is not taken for it. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
