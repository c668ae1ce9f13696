import './servers-only.js'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { atExit } from './at-exit.js'
import { hasErrorCode } from './error-code.js'
import type { PostgresPrograms } from './postgres-programs.js'
import { mustRun, plainEnvironment, runProgram } from './run-program.js'
import type { UnprivilegedUser } from './unprivileged-user.js'

export type StopMode = 'smart' | 'fast' | 'immediate'

export interface ServerProcessOptions {
  readonly programs: PostgresPrograms
  readonly dataDirectory: string
  readonly logFile: string
  readonly user: UnprivilegedUser | undefined
}

/** The server process of one data directory, driven by pg_ctl. It never outlives our own process. */
export class ServerProcess {
  readonly #options: ServerProcessOptions
  readonly #control: string
  #forget: (() => void) | undefined

  constructor(options: ServerProcessOptions) {
    const control = options.programs.path('pg_ctl')
    if (control === undefined) throw new Error(`no pg_ctl in "${options.programs.bin}"`)
    this.#options = options
    this.#control = control
  }

  /** Starts it and waits until it accepts connections. */
  async start(): Promise<void> {
    const { logFile, user } = this.#options
    this.#forget ??= atExit(() => this.#kill())
    const result = await runProgram(this.#control, this.#arguments('start', '-l', logFile), { user })
    if (result.status !== 0) {
      const log = existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''
      throw new Error(`the server did not start\n${result.stderr}${log}`)
    }
  }

  /** Stops it and waits for its end. */
  async stop(mode: StopMode): Promise<void> {
    await mustRun(this.#control, this.#arguments('stop', '-m', mode), { user: this.#options.user })
    this.#forget?.()
    this.#forget = undefined
  }

  /** Makes a standby a primary and waits until it is one. */
  async promote(): Promise<void> {
    await mustRun(this.#control, this.#arguments('promote'), { user: this.#options.user })
  }

  /** Ends it by any means, if it runs. */
  async end(): Promise<void> {
    if (this.pid() !== undefined) await this.stop('immediate').catch(() => this.#kill())
    this.#forget?.()
    this.#forget = undefined
  }

  /** The process id of the postmaster, or `undefined` when it does not run. */
  pid(): number | undefined {
    const file = join(this.#options.dataDirectory, 'postmaster.pid')
    if (!existsSync(file)) return undefined
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10)
    return pid > 0 && isAlive(pid) ? pid : undefined
  }

  /** {@link end} for the last moments of our process, when nothing can be awaited any more. */
  #kill(): void {
    const { user } = this.#options
    const pid = this.pid()
    if (pid === undefined) return
    spawnSync(this.#control, this.#arguments('stop', '-m', 'immediate', '-t', '10'), {
      cwd: '/',
      env: plainEnvironment(),
      stdio: 'ignore',
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    })
    if (this.pid() === pid) process.kill(pid, 'SIGKILL')
    const deadline = Date.now() + 2000
    while (isAlive(pid) && Date.now() < deadline) Atomics.wait(pause, 0, 0, 20)
  }

  #arguments(verb: string, ...rest: readonly string[]): readonly string[] {
    return [verb, '-D', this.#options.dataDirectory, '--silent', '-w', ...rest]
  }
}

/** Nobody ever wakes who waits on it. */
const pause = new Int32Array(new SharedArrayBuffer(4))

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return hasErrorCode(error, 'EPERM')
  }
}
