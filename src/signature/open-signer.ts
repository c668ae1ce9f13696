import { sign } from 'node:crypto'
import { PbManifestError } from '../errors.js'
import { type KeyFile, readKeyFile } from './private-key-file.js'
import { type AgentOptions, listAgentKeys, signByAgent } from './ssh-agent.js'
import { describeKey, type SshPublicKey } from './ssh-key.js'
import { sshString } from './ssh-wire.js'

/** What makes signatures by one key. */
export interface Signer {
  readonly publicKey: SshPublicKey
  /** @returns the signature as SSH sends it */
  sign(data: Buffer): Promise<Buffer>
}

/** Where keys are, besides in files. */
export interface SignerOptions {
  /** The socket of an ssh-agent. */
  readonly agentSocket?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes ready to sign by the key of a file: of an Ed25519 key that is not encrypted with itself, of any other with the agent
 * that has it.
 *
 * @throws {@link PbManifestError} `IO`, `BAD_FILE` or `ABORTED`
 */
export async function openSigner(keyPath: string, { agentSocket, signal }: SignerOptions): Promise<Signer> {
  const file = readKeyFile(keyPath)
  const { publicKey } = file
  if (file.kind === 'private') {
    const { key } = file
    return {
      publicKey,
      sign: (data) =>
        Promise.resolve(Buffer.concat([sshString(publicKey.type), sshString(sign(null, data, key))])),
    }
  }
  const agent = requireAgent(keyPath, file, agentSocket, signal)
  const keys = await listAgentKeys(agent)
  if (!keys.some((key) => key.equals(publicKey.blob))) {
    throw needsAgent(keyPath, file, `the ssh-agent does not have ${describeKey(publicKey)}`)
  }
  return { publicKey, sign: async (data) => await signByAgent(publicKey.blob, data, agent) }
}

type PublicKeyFile = Extract<KeyFile, { kind: 'public' }>

function requireAgent(
  keyPath: string,
  file: PublicKeyFile,
  agentSocket: string | undefined,
  signal: AbortSignal | undefined,
): AgentOptions {
  if (agentSocket === undefined || agentSocket === '') {
    throw needsAgent(keyPath, file, 'there is no ssh-agent (SSH_AUTH_SOCK is not set)')
  }
  return { socketPath: agentSocket, signal }
}

function needsAgent(keyPath: string, { why }: PublicKeyFile, reason: string): PbManifestError {
  const privatePath = keyPath.endsWith('.pub') ? keyPath.slice(0, -'.pub'.length) : keyPath
  return new PbManifestError('IO', `could not sign with key "${keyPath}": ${why}, and ${reason}`, {
    hint: `An ssh-agent signs with it after: ssh-add "${privatePath}".`,
  })
}
