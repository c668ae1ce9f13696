import type { Manual } from '../manual.js'

export const signManual: Manual = {
  description: `
\`pbmanifest sign\` signs the \`backup_manifest\` in a directory, a manifest elsewhere, or a JSON report of \`verify\` or \`backup\`, by an SSH key, in the format of \`ssh-keygen -Y sign\`. A manifest says that files are what they were, but not whose they are; its signature, by a key that is kept elsewhere, does. \`pbmanifest verify --allowed-signers\` demands it.
A manifest must have its own checksum to be signed. Whether the files fit it, \`verify\` says, before. CRC-32C finds accidents and no intent: take backups that are to be signed with \`--manifest-checksums=SHA256\`.`,
  options: {
    key: 'An Ed25519 key that is not encrypted, to which only its owner has access; or any Ed25519, ECDSA or RSA key that an ssh-agent has, by its public half or its own file.',
    signature:
      'It replaces one that is there. Beside the directory, not in it, no program calls it a file too many.',
  },
  exitStatus: {
    done: 'The signature is on disk.',
    badInput: 'The manifest cannot be read as one.',
    inputOutput: 'A file could not be read or written, is no key or no report, or the agent does not sign.',
  },
  files: [['DIRECTORY.sig, FILE.sig', 'The signature.']],
  environment: [['SSH_AUTH_SOCK', 'The socket of the ssh-agent.']],
  seeAlso: ['pbmanifest(1)', 'pbmanifest-verify(1)', 'ssh-keygen(1)', 'ssh-agent(1)'],
}
