import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { PbManifestError } from '../../errors.js'
import { describeSystemError } from '../../files/system-error.js'
import { SourceReadError } from '../backup-source.js'

/** How a part of a backup is fetched that has no place among the files of this machine. */
export interface FetchOptions {
  /** For a shell; `%f` becomes the name of what is wanted, `%%` a percent sign. What it writes to standard output is taken. */
  readonly command: string
  /** So long, in seconds, may it be silent while something is waited for. Default 300. */
  readonly timeoutSeconds?: number | undefined
  /**
   * Is told what a command wrote to standard error that has ended well. Default: that is a failure, for nothing else says
   * that what it gave is all that there is.
   */
  readonly onNoise?: ((message: string) => void) | undefined
}

const DEFAULT_TIMEOUT_SECONDS = 300

/** How long a command that is not wanted any more has to end. */
const GRACE_MS = 2000

/** What is kept of standard error: its end. */
const MAX_NOISE_BYTES = 4096

/** Names are our own; none of these means anything to a shell. */
const harmless = /^[A-Za-z0-9_.]+$/

type Child = ChildProcessByStdio<null, Readable, Readable>

/** A command has failed. */
export class FetchError extends SourceReadError {
  /** Whether it may be because of the name that it was given; else it would be the same with another one. */
  readonly isOfName: boolean

  constructor(message: string, { detail, isOfName }: { detail?: string | undefined; isOfName: boolean }) {
    super(message, detail)
    this.isOfName = isOfName
  }
}

/**
 * Puts a name into a command, in the way of restore_command.
 *
 * @throws {@link PbManifestError} `USAGE`
 * @see src/common/percentrepl.c
 */
function fillInName(command: string, name: string): string {
  if (!harmless.test(name)) throw new Error(`"${name}" is no name for a command`)
  return command.replaceAll(/%(.?)/gsu, (_, letter: string) => {
    if (letter === 'f') return name
    if (letter === '%') return '%'
    throw invalidCommand(
      command,
      letter === ''
        ? 'It ends with an escape character "%".'
        : `It has an unexpected placeholder "%${letter}".`,
    )
  })
}

/** Looks at a command before it is needed. @throws {@link PbManifestError} `USAGE` */
export function requireFetchCommand(command: string): void {
  if (fillInName(command, 'a') === fillInName(command, 'b')) {
    throw invalidCommand(command, 'It has no %f, the name of what it is to write to its standard output.')
  }
}

function invalidCommand(command: string, hint: string): PbManifestError {
  return new PbManifestError('USAGE', `invalid fetch command "${command}"`, { hint })
}

/**
 * Gives what the command writes to its standard output for this name. It runs in a process group of its own, which is ended
 * when nobody wants more, or the signal fires.
 *
 * @throws {@link FetchError} when it fails, hangs, or is ended by somebody else: also after its last byte
 */
export async function* fetchByCommand(
  options: FetchOptions,
  name: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const { command, timeoutSeconds = DEFAULT_TIMEOUT_SECONDS, onNoise } = options
  const child: Child = spawn('/bin/sh', ['-c', fillInName(command, name)], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const noise = new Noise(child.stderr)
  const ended = endOf(child)
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(new FetchError('it is not wanted any more', { isOfName: false }))
    signal?.addEventListener('abort', onAbort)
  })
  aborted.catch(() => {})
  const within = async <Value>(wanted: Promise<Value>): Promise<Value> => {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        const message = `the command gave nothing for ${timeoutSeconds} s`
        reject(new FetchError(message, { detail: noise.detail, isOfName: false }))
      }, timeoutSeconds * 1000)
    })
    try {
      return await Promise.race([wanted, late, aborted])
    } finally {
      clearTimeout(timer)
    }
  }
  let hasEnded = false
  let hasGiven = false
  try {
    if (signal?.aborted === true) onAbort?.()
    const chunks = child.stdout.iterator({ destroyOnReturn: false })
    for (;;) {
      const next = await within(chunks.next())
      if (next.done === true) break
      hasGiven = true
      yield next.value as Buffer
    }
    const failure = await within(ended)
    hasEnded = true
    if (failure !== undefined) {
      throw new FetchError(failure.message, { detail: noise.detail, isOfName: failure.isOfName })
    }
    if (noise.detail === undefined) return
    if (onNoise === undefined) {
      const message = 'the command wrote to standard error'
      throw new FetchError(message, { detail: noise.detail, isOfName: !hasGiven })
    }
    onNoise(`fetch command for "${name}": ${noise.detail}`)
  } finally {
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort)
    if (!hasEnded) await giveUp(child, ended)
  }
}

interface Failure {
  readonly message: string
  readonly isOfName: boolean
}

/** Settles when the command and all that share its output have ended; with what went wrong. */
function endOf(child: Child): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      const reason = describeSystemError(error)?.message ?? error.message
      resolve({ message: `could not execute the command: ${reason}`, isOfName: false })
    })
    child.once('close', (status, signal) => resolve(describeEnd(status, signal)))
  })
}

/** @see src/common/wait_error.c, wait_result_to_str */
function describeEnd(status: number | null, signal: NodeJS.Signals | null): Failure | undefined {
  if (status === 0) return undefined
  if (signal !== null) {
    return { message: `child process was terminated by signal ${signal}`, isOfName: false }
  }
  if (status === 127) return { message: 'command not found', isOfName: false }
  if (status === 126) return { message: 'command not executable', isOfName: false }
  return { message: `child process exited with exit code ${status}`, isOfName: true }
}

/** Has a command end that nobody waits for. What it has put into the background is meant, too. */
async function giveUp(child: Child, ended: Promise<unknown>): Promise<void> {
  endGroup(child, 'SIGTERM')
  const timer = setTimeout(() => endGroup(child, 'SIGKILL'), GRACE_MS)
  child.stdout.destroy()
  child.stderr.destroy()
  await ended
  clearTimeout(timer)
  // Whoever has ignored that it should end.
  endGroup(child, 'SIGKILL')
}

function endGroup({ pid }: Child, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // It is gone.
  }
}

/** What a command says. */
class Noise {
  #bytes: Buffer = Buffer.alloc(0)

  constructor(stream: Readable) {
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]).subarray(-MAX_NOISE_BYTES)
    })
  }

  /** Its last line; `undefined` when it said nothing. */
  get detail(): string | undefined {
    const line = this.#bytes
      .toString('utf8')
      .trimEnd()
      .split(/[\r\n]/)
      .at(-1)
      ?.trim()
    return line === undefined || line === '' ? undefined : `it wrote: ${line}`
  }
}
