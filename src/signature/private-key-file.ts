import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { closeSync } from 'node:fs'
import { PbManifestError } from '../errors.js'
import { openError, openRegularFile } from '../files/open-regular-file.js'
import { readExactly } from '../files/read-fully.js'
import { parsePublicKey, type SshPublicKey } from './ssh-key.js'
import { decodeBase64, SshFormatError, SshReader } from './ssh-wire.js'

/** A file that says which key is to sign. */
export type KeyFile =
  /** The key is in it. */
  | { readonly kind: 'private'; readonly publicKey: SshPublicKey; readonly key: KeyObject }
  /** Only an agent can sign with it. */
  | { readonly kind: 'public'; readonly publicKey: SshPublicKey; readonly why: string }

const MAX_BYTES = 64 * 1024

/**
 * Reads a private key in OpenSSH's format, or a public key, as the files are that `ssh-keygen` makes. As by `ssh-keygen`, a
 * private key of ours that others may read is refused.
 *
 * @throws {@link PbManifestError} `IO` or `BAD_FILE`
 */
export function readKeyFile(path: string): KeyFile {
  const { bytes, mode, uid } = readWithMode(path)
  const text = bytes.toString('latin1').trim()
  if (!text.startsWith('-----BEGIN ')) return { kind: 'public', ...parsePublicKeyFile(text, path) }
  if (uid === process.getuid?.() && (mode & 0o077) !== 0) {
    const shown = (mode & 0o777).toString(8).padStart(4, '0')
    throw new PbManifestError('IO', `permissions ${shown} of private key "${path}" are too open`, {
      hint: 'It must not be accessible by others: chmod 600.',
    })
  }
  try {
    return parsePrivateKeyFile(text)
  } catch (error) {
    throw explain(error, path)
  }
}

function readWithMode(path: string): { bytes: Buffer; mode: number; uid: number } {
  try {
    const { descriptor, stats } = openRegularFile(path)
    try {
      if (stats.size > MAX_BYTES) throw new SshFormatError(`it has ${stats.size} bytes`)
      const bytes = Buffer.alloc(stats.size)
      readExactly(path, descriptor, bytes, 0)
      return { bytes, mode: stats.mode, uid: stats.uid }
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    throw openError(path, explain(error, path))
  }
}

function explain(error: unknown, path: string): unknown {
  if (!(error instanceof SshFormatError)) return error
  return new PbManifestError('BAD_FILE', `"${path}" is no key that can sign: ${error.message}`, {
    hint: 'It must be an Ed25519 key (ssh-keygen -t ed25519), or the public key of one that an ssh-agent has.',
  })
}

function parsePublicKeyFile(text: string, path: string): { publicKey: SshPublicKey; why: string } {
  try {
    const [type = '', base64 = ''] = text.split(/[ \t]+/, 2)
    const blob = decodeBase64(base64)
    if (blob === undefined || text.includes('\n'))
      throw new SshFormatError('it is neither a private nor a public key')
    const publicKey = parsePublicKey(blob)
    if (publicKey.type !== type) throw new SshFormatError('it is of another type than it says')
    return { publicKey, why: 'it is a public key' }
  } catch (error) {
    throw explain(error, path)
  }
}

const BEGIN = '-----BEGIN OPENSSH PRIVATE KEY-----'
const END = '-----END OPENSSH PRIVATE KEY-----'
const MAGIC = Buffer.from('openssh-key-v1\0')

/** @see https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key */
function parsePrivateKeyFile(text: string): KeyFile {
  if (!text.startsWith(BEGIN) || !text.endsWith(END)) {
    throw new SshFormatError('it is not in the format of OpenSSH')
  }
  const bytes = decodeBase64(text.slice(BEGIN.length, -END.length).replaceAll(/\s/g, ''))
  if (bytes === undefined) throw new SshFormatError('it is not base64')
  const reader = new SshReader(bytes, 'private key')
  if (!reader.bytes(MAGIC.length).equals(MAGIC))
    throw new SshFormatError('it is not in the format of OpenSSH')
  const cipher = reader.name()
  // The function that makes a key of the passphrase, and its options.
  reader.name()
  reader.string()
  if (reader.uint32() !== 1) throw new SshFormatError('there is not one key in it')
  const publicKey = parsePublicKey(reader.string())
  const secrets = reader.string()
  // Of some ciphers, a tag follows.
  if (cipher !== 'none') return { kind: 'public', publicKey, why: 'it is encrypted' }
  reader.end()
  if (publicKey.type !== 'ssh-ed25519') return { kind: 'public', publicKey, why: 'it is not an Ed25519 key' }
  return { kind: 'private', publicKey, key: parseSecrets(secrets, publicKey) }
}

function parseSecrets(bytes: Buffer, publicKey: SshPublicKey): KeyObject {
  const reader = new SshReader(bytes, 'private key')
  if (reader.uint32() !== reader.uint32() || reader.name() !== publicKey.type) {
    throw new SshFormatError('it is damaged')
  }
  const x = reader.string()
  // The seed, and the public key once more.
  const both = reader.string()
  const seed = both.subarray(0, 32)
  try {
    const key = createPrivateKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url'), d: seed.toString('base64url') },
      format: 'jwk',
    })
    const isWhole = both.length === 64 && both.subarray(32).equals(x)
    if (isWhole && createPublicKey(key).equals(publicKey.key) && publicKey.blob.subarray(-32).equals(x)) {
      return key
    }
  } catch {
    // As below.
  }
  throw new SshFormatError('its private and its public key do not fit')
}
