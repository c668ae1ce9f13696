import { randomBytes } from 'node:crypto'
import {
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { PbManifestError } from '../errors.js'
import { describeSystemError, ioError } from '../files/system-error.js'

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
 * What keeps two runs from writing the state of one backup at once: a file `lock.N`, of which the one with the highest number
 * counts. A holder that was killed is noticed by its pid or, from another machine or container, by the time of the file,
 * and the next number is taken. Numbers make that safe: whoever comes second finds the number taken, or a higher one.
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
    for (;;) {
      const last = lastNumber(directory)
      if (last > 0) requireGone(lockPath(directory, last), what)
      const path = lockPath(directory, last + 1)
      if (!create(path)) continue
      // The last holder may have ended, and others come, between the two looks.
      if (lastNumber(directory) > last + 1) {
        remove(path)
        continue
      }
      for (let number = last; number > 0 && existsSync(lockPath(directory, number)); number--)
        remove(lockPath(directory, number))
      return new RunLock(path)
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

function lockPath(directory: string, number: number): string {
  return join(directory, `lock.${number}`)
}

function lastNumber(directory: string): number {
  const numbers = readdirSync(directory).map((name) => /^lock\.(\d{1,15})$/.exec(name)?.[1] ?? '0')
  return Math.max(0, ...numbers.map(Number))
}

/**
 * Makes the file appear with all that it says.
 *
 * @returns false when it is there
 */
function create(path: string): boolean {
  const temporary = join(dirname(path), `lock-${randomBytes(6).toString('hex')}.tmp`)
  const holder = `${JSON.stringify(ourselves())}\n`
  try {
    writeFileSync(temporary, holder, { flag: 'wx', mode: 0o600 })
    linkSync(temporary, path)
    return true
  } catch (error) {
    const code = describeSystemError(error)?.code ?? ''
    // Whoever has the lock removes such files.
    if (code === 'EEXIST' || code === 'ENOENT') return false
    if (withoutHardLinks.has(code)) return createAtOnce(path, holder)
    throw ioError(`could not create file "${path}"`, error)
  } finally {
    remove(temporary)
  }
}

/** What a file system says that has no hard links. */
const withoutHardLinks: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

/** Where it cannot appear with what it says: who is killed between the two is taken for somebody elsewhere. */
function createAtOnce(path: string, holder: string): boolean {
  try {
    writeFileSync(path, holder, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if (describeSystemError(error)?.code === 'EEXIST') return false
    throw ioError(`could not create file "${path}"`, error)
  }
}

/** @throws {@link PbManifestError} `IO` when its holder is there, or may be */
function requireGone(path: string, what: string): void {
  try {
    const { mtimeMs } = statSync(path)
    const holder = parseHolder(readFileSync(path, 'utf8'))
    const isHere = holder?.place === placeOfPids()
    if (isHere ? !isRunning(holder) : Date.now() - mtimeMs > GONE_MS) return
    const who = holder === undefined ? 'another process' : `process ${holder.pid} on "${holder.host}"`
    throw new PbManifestError('IO', `${who} is using the state of ${what}`, {
      hint: 'Try again when it has ended.',
    })
  } catch (error) {
    // It has ended meanwhile.
    if (describeSystemError(error)?.code === 'ENOENT') return
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
