import '../../../helpers/servers-only.js'
import { type ChildProcess, spawn } from 'node:child_process'
import { poll } from '../../../helpers/poll.js'

const program = 'openssl'

/** `openssl s_client`, which does with TLS what libraries do not let one do. */
export class OpensslClient {
  readonly #process: ChildProcess
  #output = ''
  /** Its exit status. */
  readonly end: Promise<number | null>

  constructor(port: number, ...options: readonly string[]) {
    const args = ['s_client', '-starttls', 'postgres', '-connect', `127.0.0.1:${port}`, ...options]
    this.#process = spawn(program, args, { stdio: 'pipe' })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString('latin1')
      })
    }
    // It may end while we type.
    this.#process.stdin?.on('error', () => {})
    this.end = new Promise((resolve, reject) => {
      this.#process.on('error', reject)
      this.#process.on('close', resolve)
    })
  }

  /** All that it has written. */
  get output(): string {
    return this.#output
  }

  /** Types a line: `R` to renegotiate, `K` for new keys, `Q` to leave. */
  type(line: string): void {
    this.#process.stdin?.write(`${line}\n`)
  }

  async until(pattern: RegExp): Promise<void> {
    await poll(`openssl to say ${String(pattern)}`, () => Promise.resolve(pattern.test(this.#output)))
  }
}
