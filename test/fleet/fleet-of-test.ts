import '../helpers/servers-only.js'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mainFile } from '../cli/pbmanifest.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { atExit } from '../helpers/at-exit.js'
import type { Cluster } from '../helpers/cluster.js'
import { poll } from '../helpers/poll.js'
import type { ProgramResult } from '../helpers/run-program.js'

/** A `pbmanifest fleet worker`, or another action, in a process of its own. */
export class FleetProcess {
  readonly process: ChildProcess
  said = ''
  stdout = ''
  readonly #forget: () => void

  /** @param scratch - a directory for what a killed one leaves behind */
  constructor(args: readonly string[], scratch: string) {
    this.process = spawn(process.execPath, [mainFile, 'fleet', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, FORCE_COLOR: '0', PBMANIFEST_DEBUG: '', TMPDIR: scratch },
    })
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.said += text))
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    this.#forget = atExit(() => this.process.kill('SIGKILL'))
  }

  /** Waits until it has said this on standard error. */
  async says(words: string): Promise<void> {
    await poll(`"${words}"`, async () => {
      if (this.said.includes(words)) return true
      if (this.#hasEnded) throw new Error(`it has ended without saying "${words}": ${this.said}`)
      return false
    })
  }

  /** Waits until it has said anything more, or until this is done. */
  async saysMore(end: Promise<unknown>): Promise<void> {
    const before = this.said.length
    let isDone = false
    const note = (): void => void (isDone = true)
    end.then(note, note)
    await poll('what it says', async () => isDone || this.said.length > before)
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name)
  }

  /** @returns its exit status, or the name of the signal */
  async ended(): Promise<number | string | null> {
    if (!this.#hasEnded) await once(this.process, 'close')
    this.#forget()
    return this.process.exitCode ?? this.process.signalCode
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.ended()
  }

  get #hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }
}

/** A queue in a schema of its own, of a role that owns this and may do nothing else. */
export class TestFleet {
  readonly schema: string
  readonly #conninfo: string
  readonly #scratch: string
  readonly #processes: FleetProcess[] = []

  private constructor(cluster: Cluster, schema: string) {
    this.schema = schema
    this.#scratch = cluster.scratch.path
    this.#conninfo = `host=${cluster.socketDirectory} port=${cluster.port} user=fleet dbname=queue`
  }

  /** Makes the role and the database, once for a cluster. */
  static async prepare(cluster: Cluster): Promise<void> {
    await cluster.sql('CREATE ROLE fleet LOGIN')
    await cluster.sql('CREATE DATABASE queue')
    await cluster.sql(
      `REVOKE ALL ON DATABASE queue FROM PUBLIC; GRANT CONNECT ON DATABASE queue TO fleet; REVOKE ALL ON SCHEMA public FROM PUBLIC`,
      'queue',
    )
  }

  static async make(cluster: Cluster, schema: string): Promise<TestFleet> {
    await cluster.sql(`CREATE SCHEMA ${schema} AUTHORIZATION fleet`, 'queue')
    const fleet = new TestFleet(cluster, schema)
    const made = await fleet.run(['init'])
    if (made.status !== 0) throw new Error(made.stderr)
    return fleet
  }

  /** Where it is, as options. @param host - of a proxy */
  queue(host?: string): readonly string[] {
    const conninfo = host === undefined ? this.#conninfo : this.#conninfo.replace(/host=\S+/, `host=${host}`)
    return ['--queue', conninfo, '--schema', this.schema]
  }

  async run([action = '', ...args]: readonly string[]): Promise<ProgramResult> {
    return await runCommandLine(['fleet', action, ...this.queue(), ...args])
  }

  start([action = '', ...args]: readonly string[], host?: string): FleetProcess {
    const process = new FleetProcess([action, ...this.queue(host), ...args], this.#scratch)
    this.#processes.push(process)
    return process
  }

  /** A worker that takes what there is, and is known to the queue. */
  async worker(args: readonly string[], host?: string): Promise<FleetProcess> {
    const worker = this.start(['worker', '-j', '1', ...args], host)
    await worker.says('is ready')
    return worker
  }

  /** Ends all that was started. */
  async end(): Promise<void> {
    for (const process of this.#processes) await process.kill()
  }
}
