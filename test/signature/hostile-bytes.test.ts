import { generateKeyPairSync, sign } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type AllowedSigner,
  findAllowedSigner,
  parseAllowedSigners,
} from '../../src/signature/allowed-signers.js'
import { parsePublicKey, verifyWithKey } from '../../src/signature/ssh-key.js'
import { SshFormatError, sshString } from '../../src/signature/ssh-wire.js'
import {
  bytesToSign,
  formatSshSignature,
  parseSshSignature,
  type SshSignature,
} from '../../src/signature/sshsig.js'

const pair = generateKeyPairSync('ed25519')
const rawKey = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
const ed25519 = Buffer.concat([sshString('ssh-ed25519'), sshString(rawKey)])

const signed: SshSignature = {
  publicKey: ed25519,
  namespace: 'backup_manifest@pbmanifest',
  hash: 'sha512',
  signature: Buffer.concat([
    sshString('ssh-ed25519'),
    sshString(
      sign(null, bytesToSign('backup_manifest@pbmanifest', 'sha512', Buffer.alloc(64)), pair.privateKey),
    ),
  ]),
}

const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))

function ec(type: string, curve: string): (point: Buffer) => Buffer {
  return (point) => Buffer.concat([sshString(type), sshString(curve), sshString(point)])
}

/** Bytes that begin as those of a key do. */
const nearlyKeys = fc.oneof(
  anyBytes,
  anyBytes.map((bytes) => Buffer.concat([sshString('ssh-ed25519'), bytes])),
  anyBytes.map((bytes) => Buffer.concat([sshString('ssh-ed25519'), sshString(bytes)])),
  fc
    .uint8Array({ minLength: 64, maxLength: 64 })
    .map((bytes) => ec('ecdsa-sha2-nistp256', 'nistp256')(Buffer.concat([Buffer.of(4), bytes]))),
  anyBytes.map(ec('ecdsa-sha2-nistp521', 'nistp521')),
  fc
    .tuple(anyBytes, anyBytes)
    .map(([e, n]) => Buffer.concat([sshString('ssh-rsa'), sshString(e), sshString(n)])),
)

/** What comes of it, if it is anything. */
function attempt<Result>(read: () => Result): Result | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof SshFormatError) return undefined
    throw error
  }
}

/** The lines of the signers, and those that are not understood. */
function linesOf(file: Buffer): number[] {
  return parseAllowedSigners(file).map((signer) =>
    'fault' in signer || signer.key.length > 4 ? signer.line : 0,
  )
}

test('a signature is read as it was written', () => {
  const signatures = fc.record({
    publicKey: anyBytes,
    namespace: fc.string({ minLength: 1 }),
    hash: fc.constantFrom('sha256', 'sha512'),
    signature: anyBytes,
  })
  fc.assert(
    fc.property(signatures, (signature) => {
      expect(parseSshSignature(Buffer.from(formatSshSignature(signature)))).toEqual(signature)
    }),
  )
})

test('bytes that are no signature are refused, whatever they are', () => {
  const armored = anyBytes.map((bytes) => {
    const base64 = Buffer.concat([Buffer.from('SSHSIG\0\0\0\u0001'), bytes]).toString('base64')
    return Buffer.from(`-----BEGIN SSH SIGNATURE-----\n${base64}\n-----END SSH SIGNATURE-----\n`)
  })
  fc.assert(
    fc.property(fc.oneof(anyBytes, armored), (bytes) => {
      expect(attempt(() => parseSshSignature(bytes))?.namespace).not.toBe(signed.namespace)
    }),
    { numRuns: 2000 },
  )
})

test('a signature of which one bit is another is refused, or of something else', () => {
  const key = parsePublicKey(ed25519)
  const data = bytesToSign(signed.namespace, 'sha512', Buffer.alloc(64))
  expect(verifyWithKey(key, data, signed.signature)).toBe(true)
  for (let bit = 0; bit < signed.signature.length * 8; bit++) {
    const changed = Buffer.from(signed.signature)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    expect(attempt(() => verifyWithKey(key, data, changed)) ?? false).toBe(false)
  }
})

test('bytes that are no key are refused, and a key says no to what is no signature', () => {
  fc.assert(
    fc.property(
      nearlyKeys,
      anyBytes,
      fc.constantFrom('ssh-ed25519', 'rsa-sha2-512', ''),
      (bytes, made, name) => {
        const key = attempt(() => parsePublicKey(bytes))
        if (key === undefined) return
        const signature = name === '' ? made : Buffer.concat([sshString(name), sshString(made)])
        expect(attempt(() => verifyWithKey(key, Buffer.from('data'), signature)) ?? false).toBe(false)
      },
    ),
    { numRuns: 2000 },
  )
})

test('a file of allowed signers is understood or refused by its line, whatever is in it', () => {
  const words = fc.constantFrom(
    'ops', '"', '\\', ',', '=', ' ', '\t', '\r', '\n', '#', '*', '!', 'namespaces', 'cert-authority',
    'valid-after="', '20260101', 'ssh-ed25519', `ssh-ed25519 ${ed25519.toString('base64')}`, '\0', '\u00ff',
  ) // prettier-ignore
  const files = fc.oneof(
    anyBytes,
    fc.array(words, { maxLength: 30 }).map((parts) => Buffer.from(parts.join(''), 'latin1')),
  )
  fc.assert(
    fc.property(files, (bytes) => {
      expect(linesOf(bytes)).not.toContain(0)
    }),
    { numRuns: 3000 },
  )
})

test('a pattern of many stars is as quick as any', () => {
  const signer: AllowedSigner = {
    line: 1,
    principals: `${'*a'.repeat(5000)}*b`,
    key: ed25519,
    isAuthority: false,
  }
  const demand = { key: ed25519, namespace: 'n', identity: 'a'.repeat(20_000), now: 0 }
  expect(findAllowedSigner([signer], demand)).toContain('it is not a key of')
})
