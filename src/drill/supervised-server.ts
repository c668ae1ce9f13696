import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { PbManifestError } from '../errors.js'
import { WakeUp } from '../threads/wake-up.js'
import { throwIfAborted } from '../files/yielder.js'
import type { ServerPrograms, ServerUser } from './find-server.js'
import type { ScratchPlace } from './scratch-place.js'

/** So many lines of the server's log are kept. */
const MOST_LINES = 500

/** For so long, in milliseconds, a server may take to end at once. */
const GRACE_MS = 30_000

/**
 * Watches over the server, and over us: when the drill is gone, even by SIGKILL, the end of descriptor 3 says so, and this ends the
 * server and removes everything. It begins before the first file is copied.
 *
 * A server does not end with its parent: one whose parent has gone runs on. It is told again and again to end, because as a
 * background job of a shell it begins with signals ignored, and may not have its own handlers yet.
 */
const supervisor = `
scratch=$1 sockets=$2 postgres=$3 data=$4
trap '' HUP INT TERM
remove() { rm -rf -- "$scratch" "$sockets"; exit 1; }
IFS= read -r command <&3 || remove
[ "$command" = start ] || exit 0
"$postgres" -D "$data" </dev/null 3<&- &
server=$!
end() {
  while [ -d "$scratch" ] && [ ! -e "$scratch/ended" ] && kill -QUIT "$server"; do sleep 1; done
}
{
  while IFS= read -r command <&3; do
    case $command in
      stop) end ;;
      leave) exit 0 ;;
    esac
  done
  end
  remove
} 2>/dev/null >/dev/null &
wait "$server"
status=$?
: > "$scratch/ended"
exit "$status"
`

/** For so long, in milliseconds, the end of its log is waited for. */
const LOG_MS = 2000

/** What the log of a server said so far, with milliseconds since its start. */
export interface LogLine {
  readonly text: string
  readonly atMs: number
}

/** A server under supervision: it never outlives the drill. */
export class SupervisedServer {
  /** The last lines of its log. */
  readonly log: LogLine[] = []
  readonly #child: ChildProcess
  readonly #commands: Writable
  readonly #wakeUp = new WakeUp()
  readonly #ended: Promise<void>
  #status: number | undefined
  #failure: Error | undefined
  #startedAt = 0
  #onLine: ((line: LogLine) => void) | undefined

  /** Starts what watches; the server comes with {@link start}. */
  constructor(programs: ServerPrograms, place: ScratchPlace, user: ServerUser | undefined) {
    const postgres = join(programs.bindir, 'postgres')
    const args = ['-c', supervisor, 'sh', place.path, place.sockets, postgres, place.data]
    this.#child = spawn('/bin/sh', args, {
      cwd: place.path,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      // Signals of a terminal are for us; we end it.
      detached: true,
      ...(user !== undefined && { uid: user.uid, gid: user.gid }),
    })
    this.#commands = this.#child.stdio[3] as Writable
    // It has ended, which is told by its end.
    this.#commands.on('error', () => {})
    const isLogWhole = new Promise<void>((resolve) => {
      if (this.#child.stderr === null) return resolve()
      const lines = createInterface({ input: this.#child.stderr })
      lines.on('line', (text) => this.#take(text))
      lines.on('close', resolve)
    })
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        this.#wakeUp.wake()
        resolve()
      }
      this.#child.on('error', (error) => {
        this.#failure = error
        end()
      })
      this.#child.on('exit', (status) => {
        // A process of the server's that lingers may hold the log open.
        void this.#awaitLog(isLogWhole).finally(() => {
          this.#status = status ?? -1
          end()
        })
      })
    })
  }

  get hasEnded(): boolean {
    return this.#status !== undefined || this.#failure !== undefined
  }

  /** Starts the server, and tells each line of its log. @throws {@link PbManifestError} `IO` */
  start(onLine: (line: LogLine) => void): void {
    if (this.#failure !== undefined) {
      throw new PbManifestError('IO', `could not run "/bin/sh": ${this.#failure.message}`, {
        cause: this.#failure,
      })
    }
    this.#startedAt = performance.now()
    this.#onLine = onLine
    this.#commands.write('start\n')
  }

  /**
   * Waits until something is so, or the server has ended, or the time is up.
   *
   * @throws {@link PbManifestError} `ABORTED`
   */
  async waitFor(
    isSo: () => boolean,
    timeoutMs: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const wake = (): void => this.#wakeUp.wake()
    const end = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs
    const timer = timeoutMs === undefined ? undefined : globalThis.setTimeout(wake, timeoutMs + 1)
    signal?.addEventListener('abort', wake)
    try {
      while (!isSo() && !this.hasEnded && performance.now() < end) {
        throwIfAborted(signal)
        await this.#wakeUp.wait()
      }
      throwIfAborted(signal)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', wake)
    }
  }

  /** Ends the server, if it runs, and what watches over it. Nothing is removed. */
  async end(): Promise<void> {
    if (this.#startedAt > 0 && !this.hasEnded) {
      this.#commands.write('stop\n')
      const timer = globalThis.setTimeout(() => this.#kill(), GRACE_MS)
      await this.#ended
      clearTimeout(timer)
    }
    this.#commands.write('leave\n')
    this.#commands.end()
    await this.#ended
  }

  /** All of its group: the server too. */
  #kill(): void {
    const { pid } = this.#child
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  }

  async #awaitLog(isWhole: Promise<void>): Promise<void> {
    await Promise.race([isWhole, setTimeout(LOG_MS, undefined, { ref: false })])
  }

  #take(text: string): void {
    const line = { text, atMs: performance.now() - this.#startedAt }
    if (this.log.length === MOST_LINES) this.log.shift()
    this.log.push(line)
    this.#onLine?.(line)
    this.#wakeUp.wake()
  }
}
