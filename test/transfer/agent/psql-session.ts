import '../../helpers/servers-only.js'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { plainEnvironment } from '../../helpers/run-program.js'
import { type AgentProgram, psqlProgram } from './agent-program.js'

/** A psql at whose keyboard we sit. Nothing of ours reads or writes the protocol. */
export class PsqlSession {
  readonly #process: ChildProcess
  readonly #directory: string
  #stderr = ''
  #marks = 0
  #files = 0
  readonly ended: Promise<void>

  constructor(agent: AgentProgram) {
    this.#directory = mkdtempSync(join(agent.socketDirectory, 'psql-'))
    // Fields and rows end with a NUL, which no name holds.
    const args = ['--no-psqlrc', '--quiet', '--no-align', '--tuples-only', '-z', '-0', 'replication=1']
    this.#process = spawn(psqlProgram(), args, {
      env: { ...plainEnvironment(), ...agent.environment() },
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString('latin1')
    })
    this.ended = new Promise((resolve) => {
      this.#process.on('close', () => resolve())
    })
  }

  /**
   * Runs commands, one after the other, each with its output redirected into a file.
   *
   * @returns the paths of the files
   */
  async runAll(commands: readonly string[]): Promise<string[]> {
    const paths = commands.map(() => join(this.#directory, String(this.#files++)))
    const lines = commands.map((command, index) => `\\o ${paths[index] ?? ''}\n${command};\n`)
    const mark = `mark ${String(++this.#marks)}\n`
    this.#stderr = ''
    this.#process.stdin?.write(`${lines.join('')}\\o\n\\warn ${mark}`)
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!this.#stderr.endsWith(mark)) return
        this.#process.stderr?.off('data', look)
        resolve()
      }
      this.#process.stderr?.on('data', look)
      this.#process.once('close', () => resolve())
    })
    const said = this.#stderr.replace(mark, '')
    if (said !== '') throw new Error(`psql: ${said}`)
    return paths
  }

  /** Runs one command, and returns its output. */
  async run(command: string): Promise<Buffer> {
    const [path = ''] = await this.runAll([command])
    return readFileSync(path)
  }

  /** Runs one command; returns its rows, as so many values each. */
  async rows(command: string, columns: number): Promise<Buffer[][]> {
    const values = split(await this.run(command))
    return Array.from({ length: values.length / columns }, (_, row) =>
      values.slice(row * columns, (row + 1) * columns),
    )
  }

  /** Says Terminate. */
  async quit(): Promise<void> {
    this.#process.stdin?.end('\\q\n')
    await this.ended
  }

  /** Goes away without a word. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.ended
  }
}

function split(bytes: Buffer): Buffer[] {
  const values: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(0, at)
    values.push(bytes.subarray(at, end))
    at = end + 1
  }
  return values
}
