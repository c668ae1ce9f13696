import { randomBytes } from 'node:crypto'
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { PbManifestError } from '../errors.js'
import { describeSystemError, ioError, isNotThere } from '../files/system-error.js'

/** How often a holder shows that it is there, and after how long without that it is taken for gone, in milliseconds. */
const HEARTBEAT_MS = 30_000
const GONE_MS = 5 * 60_000

/** Who holds a lock. */
interface LockHolder {
  readonly host: string
  readonly pid: number
  /** Of which boot and namespace the pid is; only there it can be asked for. */
  readonly place: string
  /** When the process was started, in ticks since the boot; pids are used again. */
  readonly processStart: string
}

/**
 * What keeps two runs from writing the state of one backup at once: a file `lock.*` of a name that nobody has had before. Whoever makes one
 * looks for others after that, and takes its own away when there is another whose holder is there. So of two, one at least sees the other.
 * A holder that was killed is noticed by its pid or, from another machine or container, by the time of the file.
 */
export class RunLock {
  readonly #path: string
  readonly #heartbeat: NodeJS.Timeout

  private constructor(path: string) {
    this.#path = path
    this.#heartbeat = setInterval(() => touch(path), HEARTBEAT_MS).unref()
  }

  /**
   * Takes the lock of a directory.
   *
   * @param what - what is locked, for the message
   * @throws {@link PbManifestError} `IO`, also when another process holds it
   */
  static take(directory: string, what: string): RunLock {
    for (let attempt = 1; ; attempt++) {
      const path = join(directory, `lock.${randomBytes(8).toString('hex')}`)
      create(path)
      try {
        const holder = findHolder(directory, path)
        if (holder === undefined) return new RunLock(path)
        if (attempt === ATTEMPTS) {
          throw new PbManifestError('IO', `${holder} is using the state of ${what}`, {
            hint: 'Try again when it has ended.',
          })
        }
      } catch (error) {
        remove(path)
        throw error
      }
      remove(path)
      // Two that have seen each other do not meet again and again.
      Atomics.wait(nobodyWakes, 0, 0, Math.random() * LONGEST_DELAY_MS)
    }
  }

  /** @throws {@link PbManifestError} `IO` when it was taken away, as from a process that stood still for long */
  requireHeld(): void {
    if (existsSync(this.#path)) return
    throw new PbManifestError('IO', `lock file "${this.#path}" was taken away by another run`)
  }

  release(): void {
    clearInterval(this.#heartbeat)
    remove(this.#path)
  }
}

/** So often is it tried, with so long between at most, in milliseconds. */
const ATTEMPTS = 20
const LONGEST_DELAY_MS = 50

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4))

/**
 * Makes the file appear with all that it says, also where there are no hard links: nobody else has its name, so a rename replaces
 * nothing.
 */
function create(path: string): void {
  const temporary = `${path}.tmp`
  try {
    for (let attempt = 1; ; attempt++) {
      writeFileSync(temporary, `${JSON.stringify(ourselves())}\n`, { flag: 'wx', mode: 0o600 })
      try {
        renameSync(temporary, path)
        return
      } catch (error) {
        // Whoever has the lock removes such files.
        if (!isNotThere(error) || attempt === ATTEMPTS) throw error
      }
    }
  } catch (error) {
    remove(temporary)
    throw ioError(`could not create file "${path}"`, error)
  }
}

/** Who else has a lock, for the message. Those of processes that are gone are removed: nobody has their names again. */
function findHolder(directory: string, own: string): string | undefined {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    if (!/^lock\.[0-9a-f]{16}$/.test(name) || path === own) continue
    const holder = describeHolder(path)
    if (holder !== undefined) return holder
    remove(path)
  }
  return undefined
}

/** @returns `undefined` when it is gone */
function describeHolder(path: string): string | undefined {
  try {
    const { mtimeMs } = statSync(path)
    const holder = parseHolder(readFileSync(path, 'utf8'))
    const isHere = holder?.place === placeOfPids()
    if (isHere ? !isRunning(holder) : Date.now() - mtimeMs > GONE_MS) return undefined
    return holder === undefined ? 'another process' : `process ${holder.pid} on "${holder.host}"`
  } catch (error) {
    // It has ended meanwhile.
    if (describeSystemError(error)?.code === 'ENOENT') return undefined
    throw ioError(`could not read file "${path}"`, error)
  }
}

function ourselves(): LockHolder {
  const { pid } = process
  return { host: hostname(), pid, place: placeOfPids(), processStart: startOf(pid) ?? '' }
}

function parseHolder(text: string): LockHolder | undefined {
  try {
    const { host, pid, place, processStart } = JSON.parse(text) as Partial<LockHolder>
    if (typeof host !== 'string' || typeof pid !== 'number') return undefined
    return { host, pid, place: String(place), processStart: String(processStart) }
  } catch {
    return undefined
  }
}

function isRunning({ pid, processStart }: LockHolder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is somebody else's.
    if (describeSystemError(error)?.code === 'ESRCH') return false
  }
  const start = startOf(pid)
  return start === undefined || start === processStart
}

function placeOfPids(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return hostname()
  }
}

/** @see proc_pid_stat(5): the 22nd field; the second, a name in parentheses, may hold anything */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function touch(path: string): void {
  try {
    const now = new Date()
    utimesSync(path, now, now)
  } catch {
    // Before anything is written, it is looked for.
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // A file that cannot be removed is taken for that of a process that is gone.
  }
}
