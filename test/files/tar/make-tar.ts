/** Archives made by hand, for what no program at hand makes. */

interface HeaderFields {
  readonly name: string | Buffer
  readonly typeflag?: string
  readonly size?: number
  /** The bytes of the size's field, in place of octal digits. */
  readonly sizeField?: Buffer
  readonly prefix?: string
  readonly magic?: string
  /** Of a link. */
  readonly target?: string
}

const ustar = 'ustar\u000000'
/** GNU's, which has no prefix. */
export const gnuMagic = 'ustar  \u0000'

/** A header block with a right checksum. */
export function tarHeader(fields: HeaderFields): Buffer {
  const { name, typeflag = '0', size = 0, sizeField, prefix = '', magic = ustar, target = '' } = fields
  const block = Buffer.alloc(512)
  Buffer.from(name).copy(block, 0, 0, 100)
  block.write('0000600\0', 100, 'latin1')
  block.write(`${size.toString(8).padStart(11, '0')} `, 124, 'latin1')
  sizeField?.copy(block, 124)
  block.write('00000000000 ', 136, 'latin1')
  block.write(typeflag, 156, 'latin1')
  block.write(target, 157, 'latin1')
  block.write(magic, 257, 'latin1')
  block.write(prefix, 345, 'latin1')
  return sealHeader(block)
}

/** Gives a header block the checksum that is right. */
export function sealHeader(block: Buffer): Buffer {
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

/** A header, and the content filled up to whole blocks. */
export function tarMember(fields: HeaderFields, content: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(content)
  const padding = Buffer.alloc((512 - (bytes.length % 512)) % 512)
  return Buffer.concat([tarHeader({ size: bytes.length, ...fields }), bytes, padding])
}

/** A pax extended header for the member that follows (`x`), or for all (`g`). */
export function paxHeader(records: Readonly<Record<string, string | Buffer>>, typeflag = 'x'): Buffer {
  const lines = Object.entries(records).map(([key, value]) => paxRecord(key, Buffer.from(value)))
  return tarMember({ name: 'pax', typeflag }, Buffer.concat(lines))
}

function paxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
  let length = rest.length
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

export const tarEnd: Buffer = Buffer.alloc(1024)

/** A whole archive of these members. */
export function tarArchive(...members: readonly Buffer[]): Buffer {
  return Buffer.concat([...members, tarEnd])
}
