import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** A member as it stands in its archive. */
export interface StoredMember {
  readonly name: string
  /** But for the numbers of user and group, which no client of a server knows, and the checksum over them. */
  readonly header: string
  /** Of its bytes and what fills its last block. */
  readonly sha256: string
}

/** The members of an archive that PostgreSQL has made, block by block: names are short there, and sizes below 8 GiB. */
export function readMembers(path: string): StoredMember[] {
  const bytes = readFileSync(path)
  const members: StoredMember[] = []
  let at = 0
  while (bytes[at] !== 0) {
    const header = Buffer.from(bytes.subarray(at, at + 512))
    const size = Number.parseInt(header.toString('latin1', 124, 135), 8)
    const end = at + 512 + Math.ceil(size / 512) * 512
    header.fill(0, 108, 124).fill(0, 148, 156)
    members.push({
      name: header.toString('utf8', 0, 100).replace(/\0+$/, ''),
      header: header.toString('latin1'),
      sha256: createHash('sha256')
        .update(bytes.subarray(at + 512, end))
        .digest('hex'),
    })
    at = end
  }
  // Whatever comes from PostgreSQL ends so.
  if (!bytes.subarray(at).equals(Buffer.alloc(1024))) throw new Error(`"${path}" does not end as it should`)
  return members
}
