import { decodeBase64, SshFormatError, SshReader, sshString, sshUint32 } from './ssh-wire.js'

// The format of signatures of `ssh-keygen -Y sign`, both ways.
// @see https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig

/** What a message may be hashed by before it is signed. */
export type SignatureHash = 'sha256' | 'sha512'

/** A signature, and all that stands beside it. */
export interface SshSignature {
  /** As SSH sends it. */
  readonly publicKey: Buffer
  /** What the signature is for. It is signed too, so that it cannot be taken for one of another purpose. */
  readonly namespace: string
  readonly hash: SignatureHash
  /** As SSH sends it. */
  readonly signature: Buffer
}

const MAGIC = Buffer.from('SSHSIG')
const VERSION = 1
const BEGIN = '-----BEGIN SSH SIGNATURE-----'
const END = '-----END SSH SIGNATURE-----'
const LINE_LENGTH = 70

/** Whether a file begins as a signature does. */
export function looksLikeSshSignature(bytes: Buffer): boolean {
  return bytes.subarray(0, BEGIN.length).toString('latin1') === BEGIN
}

/** @throws {@link SshFormatError} */
export function parseSshSignature(file: Buffer): SshSignature {
  const reader = new SshReader(removeArmor(file), 'signature')
  if (!reader.bytes(MAGIC.length).equals(MAGIC)) throw new SshFormatError('it is no signature of a file')
  const version = reader.uint32()
  if (version !== VERSION) throw new SshFormatError(`signatures of version ${version} are not supported`)
  const publicKey = reader.string()
  const namespace = reader.string().toString('utf8')
  // Reserved: "implementations should ignore the reserved field if it is not empty".
  reader.string()
  const hash = reader.name()
  const signature = reader.string()
  reader.end()
  if (hash !== 'sha256' && hash !== 'sha512') {
    throw new SshFormatError(`signatures with hash "${hash}" are not supported`)
  }
  return { publicKey, namespace, hash, signature }
}

export function formatSshSignature({ publicKey, namespace, hash, signature }: SshSignature): string {
  const parts = [publicKey, namespace, '', hash, signature].map(sshString)
  const base64 = Buffer.concat([MAGIC, sshUint32(VERSION), ...parts]).toString('base64')
  const lines: string[] = []
  for (let at = 0; at < base64.length; at += LINE_LENGTH) lines.push(base64.slice(at, at + LINE_LENGTH))
  return [BEGIN, ...lines, END, ''].join('\n')
}

/** What is signed of a message. */
export function bytesToSign(namespace: string, hash: SignatureHash, digest: Buffer): Buffer {
  return Buffer.concat([MAGIC, ...[namespace, '', hash, digest].map(sshString)])
}

function removeArmor(file: Buffer): Buffer {
  const lines = file.toString('latin1').trimEnd().split('\n')
  const [first, ...rest] = lines.map((line) => line.trimEnd())
  if (first !== BEGIN) throw new SshFormatError(`it does not begin with "${BEGIN}"`)
  if (rest.pop() !== END) throw new SshFormatError(`it does not end with "${END}"`)
  const bytes = decodeBase64(rest.join(''))
  if (bytes === undefined) throw new SshFormatError('it is not base64')
  return bytes
}
