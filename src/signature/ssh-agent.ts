import { createConnection, type Socket } from 'node:net'
import { PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/yielder.js'
import { ioError } from '../files/system-error.js'
import { SshFormatError, SshReader, sshString, sshUint32 } from './ssh-wire.js'

// The protocol of ssh-agent. @see https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent
const REQUEST_IDENTITIES = 11
const IDENTITIES_ANSWER = 12
const SIGN_REQUEST = 13
const SIGN_RESPONSE = 14
/** Has an RSA key sign with SHA-512, and not with SHA-1; others do not look at it. */
const RSA_SHA2_512 = 4

/** OpenSSH's agent sends no longer message. */
const MAX_MESSAGE_BYTES = 256 * 1024
const MAX_KEYS = 2048

export interface SshAgentOptions {
  /** The agent's socket, SSH_AUTH_SOCK. */
  readonly socketPath: string
  readonly signal?: AbortSignal | undefined
  /** How long to wait for an answer, in milliseconds. Default 30 s for the list of keys; 5 minutes for a signature, which may have to be confirmed. */
  readonly patience?: number | undefined
}

/** The public keys that the agent has, as SSH sends them. */
export async function listAgentKeys(options: SshAgentOptions): Promise<Buffer[]> {
  const answer = await ask(Buffer.of(REQUEST_IDENTITIES), options, 30_000)
  return await read(answer, IDENTITIES_ANSWER, options, (reader) => {
    const keys: Buffer[] = []
    const count = reader.uint32()
    if (count > MAX_KEYS) throw new SshFormatError(`it says that it has ${count} keys`)
    for (let index = 0; index < count; index++) {
      keys.push(reader.string())
      reader.string()
    }
    return keys
  })
}

/**
 * Has the agent sign.
 *
 * @returns the signature, as SSH sends it
 */
export async function signByAgent(key: Buffer, data: Buffer, options: SshAgentOptions): Promise<Buffer> {
  const request = [Buffer.of(SIGN_REQUEST), sshString(key), sshString(data), sshUint32(RSA_SHA2_512)]
  const answer = await ask(Buffer.concat(request), options, 300_000)
  return await read(answer, SIGN_RESPONSE, options, (reader) => reader.string())
}

async function read<Result>(
  answer: Buffer,
  type: number,
  { socketPath }: SshAgentOptions,
  readRest: (reader: SshReader) => Result,
): Promise<Result> {
  const refused = (why: string): PbManifestError =>
    new PbManifestError('IO', `the ssh-agent at "${socketPath}" ${why}`)
  if (answer[0] !== type) {
    throw refused(type === SIGN_RESPONSE ? 'refused to sign' : 'refused to list its keys')
  }
  try {
    const reader = new SshReader(answer.subarray(1), 'answer')
    const result = readRest(reader)
    reader.end()
    return result
  } catch (error) {
    if (!(error instanceof SshFormatError)) throw error
    throw refused(`gave an answer that is none: ${error.message}`)
  }
}

/** One connection for each question. */
async function ask(request: Buffer, options: SshAgentOptions, defaultPatience: number): Promise<Buffer> {
  const { socketPath, signal, patience = defaultPatience } = options
  throwIfAborted(signal)
  const socket = createConnection(socketPath)
  const abort = (): void => void socket.destroy()
  signal?.addEventListener('abort', abort, { once: true })
  const timer = setTimeout(() => {
    socket.destroy(new PbManifestError('IO', `the ssh-agent at "${socketPath}" does not answer`))
  }, patience)
  try {
    socket.write(Buffer.concat([sshUint32(request.length), request]))
    return await receive(socket)
  } catch (error) {
    throwIfAborted(signal)
    if (error instanceof SshFormatError) {
      throw new PbManifestError('IO', `the ssh-agent at "${socketPath}" ${error.message}`)
    }
    throw ioError(`could not ask the ssh-agent at "${socketPath}"`, error)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
    socket.destroy()
  }
}

async function receive(socket: Socket): Promise<Buffer> {
  let received = Buffer.alloc(0)
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, chunk])
    if (received.length < 4) continue
    const length = received.readUInt32BE()
    if (length > MAX_MESSAGE_BYTES) throw new SshFormatError(`gave an answer of ${length} bytes`)
    if (received.length >= 4 + length) return received.subarray(4, 4 + length)
  }
  throw new SshFormatError('hung up without an answer')
}
