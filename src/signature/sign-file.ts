import { createHash, type Hash, sign } from 'node:crypto'
import { closeSync, statSync } from 'node:fs'
import { PbManifestError } from '../errors.js'
import { DurableFile } from '../files/durable-file.js'
import { NotARegularFileError, openRegularFile } from '../files/open-regular-file.js'
import { readFully } from '../files/read-fully.js'
import { ioError, isNotThere } from '../files/system-error.js'
import { openManifest, scanManifest } from '../manifest/read-manifest.js'
import { manifestNamespace, reportNamespace, signatureOfBackup, signatureOfFile } from './signature-place.js'
import { readReport } from './signed-report.js'
import { describeKey, fingerprintOf, type SshPublicKey, verifyWithKey } from './ssh-key.js'
import { bytesToSign, formatSshSignature, looksLikeSshSignature } from './sshsig.js'
import { SshFormatError, sshString } from './ssh-wire.js'
import { type KeyFile, readKeyFile } from './private-key-file.js'
import { type SshAgentOptions, listAgentKeys, signByAgent } from './ssh-agent.js'

/** By which key to sign, and where the signature goes. */
export interface SignOptions {
  /**
   * A file with an Ed25519 key in OpenSSH's format that is not encrypted, or any other private or public key that an ssh-agent
   * has.
   */
  readonly key: string
  /** Default: of a backup, its directory's path and `.sig`; of a file, its path and `.sig`. It replaces a signature that is there. */
  readonly signaturePath?: string
  /** The socket of an ssh-agent. Default: there is none. */
  readonly agentSocket?: string
  /** Ends it; the promise then rejects with code `ABORTED`. */
  readonly signal?: AbortSignal
}

/** What was signed, by which key. */
export interface SignResult {
  /** The file that was signed. */
  readonly path: string
  readonly signaturePath: string
  /** `backup_manifest@pbmanifest` or `report@pbmanifest`. */
  readonly namespace: string
  /** `ssh-ed25519` and the like. */
  readonly keyType: string
  /** As `ssh-keygen -l` shows it. */
  readonly fingerprint: string
}

const HASH = 'sha512'

/**
 * Signs the manifest of a backup, or a JSON report of pbmanifest, in the format of `ssh-keygen -Y sign`. What is signed has to be
 * whole: a manifest must have its own checksum.
 *
 * @param path - a backup directory, a manifest, or a report
 * @throws {@link PbManifestError} `IO`, `BAD_MANIFEST`, `BAD_FILE` or `ABORTED`; then there is no signature, or the one that was
 * there before
 * @example
 * ```ts
 * import { signFile } from 'pbmanifest'
 *
 * const { signaturePath, fingerprint } = await signFile('/backups/monday', { key: '/etc/pbmanifest/key' })
 * console.log(signaturePath, fingerprint)
 * ```
 */
export async function signFile(path: string, options: SignOptions): Promise<SignResult> {
  const { signal } = options
  const isBackup = isDirectory(path)
  const file = isBackup ? `${path}/backup_manifest` : path
  const signaturePath = options.signaturePath ?? (isBackup ? signatureOfBackup(path) : signatureOfFile(path))
  requireReplaceable(signaturePath)
  const signer = await openSigner(options.key, { agentSocket: options.agentSocket, signal })
  const isManifest = isBackup || beginsAsManifest(file)
  const namespace = isManifest ? manifestNamespace : reportNamespace
  const hash = createHash(HASH)
  if (isManifest) await hashManifest(file, hash, signal)
  else hash.update(readReport(file, 'is neither a backup manifest nor a JSON report of pbmanifest').bytes)
  await writeSignature(signaturePath, await makeSignature(signer, namespace, hash.digest()))
  const { type, blob } = signer.publicKey
  return { path: file, signaturePath, namespace, keyType: type, fingerprint: fingerprintOf(blob) }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw ioError(`could not open file "${path}"`, error)
  }
}

/** What is there and is no signature was named by mistake. */
function requireReplaceable(path: string): void {
  const start = readStart(path)
  if (start === undefined || start.length === 0 || looksLikeSshSignature(start)) return
  throw new PbManifestError('IO', `could not write file "${path}": it exists and is not a signature`)
}

/** A manifest has its version before anything else, or no reader takes it. */
function beginsAsManifest(path: string): boolean {
  const start = readStart(path)?.toString('latin1') ?? ''
  return start.replaceAll(/\s/g, '').startsWith('{"PostgreSQL-Backup-Manifest-Version"')
}

/** `undefined` when it is no regular file: who opens it says so. */
function readStart(path: string): Buffer | undefined {
  try {
    const { descriptor } = openRegularFile(path)
    try {
      const start = Buffer.alloc(4096)
      return start.subarray(0, readFully(descriptor, start, 0))
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    if (error instanceof NotARegularFileError || isNotThere(error)) return undefined
    throw ioError(`could not open file "${path}"`, error)
  }
}

async function hashManifest(path: string, hash: Hash, signal: AbortSignal | undefined): Promise<void> {
  const source = await openManifest(path, { signal })
  const chunks = function* (): Generator<Buffer, void, undefined> {
    for (const chunk of source.chunks()) {
      hash.update(chunk)
      yield chunk
    }
  }
  await scanManifest(
    { ...source, chunks },
    { file: () => {}, walRange: () => {} },
    signal === undefined ? {} : { signal },
  )
}

/** Never hands on what an agent made without a look at it. */
async function makeSignature(signer: Signer, namespace: string, digest: Buffer): Promise<string> {
  const { publicKey } = signer
  const data = bytesToSign(namespace, HASH, digest)
  const signature = await signer.sign(data)
  if (!isGood(signature)) throw new PbManifestError('IO', 'the ssh-agent gave a signature that is not valid')
  return formatSshSignature({ publicKey: publicKey.blob, namespace, hash: HASH, signature })

  function isGood(made: Buffer): boolean {
    try {
      return verifyWithKey(publicKey, data, made)
    } catch (error) {
      if (error instanceof SshFormatError) return false
      throw error
    }
  }
}

async function writeSignature(path: string, text: string): Promise<void> {
  const file = await DurableFile.create(path)
  try {
    await file.write(Buffer.from(text))
    await file.commit()
  } catch (error) {
    await file.discard()
    throw error
  }
}

/** What makes signatures by one key. */
interface Signer {
  readonly publicKey: SshPublicKey
  /** @returns the signature as SSH sends it */
  sign(data: Buffer): Promise<Buffer>
}

/** Where keys are, besides in files. */
interface SignerOptions {
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
async function openSigner(keyPath: string, { agentSocket, signal }: SignerOptions): Promise<Signer> {
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
): SshAgentOptions {
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
