/** What COPY in binary format sends for these rows. */
export function binaryCopy(
  rows: readonly (readonly (Buffer | null)[])[],
  extension: Buffer = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(19)
  header.write('PGCOPY\n\xff\r\n\0', 'latin1')
  header.writeInt32BE(extension.length, 15)
  return Buffer.concat([header, extension, ...rows.flatMap((row) => binaryRow(row)), int16(-1)])
}

/** An SQL bigint in binary format. */
export function int8(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}

function binaryRow(fields: readonly (Buffer | null)[]): Buffer[] {
  return [
    int16(fields.length),
    ...fields.flatMap((field) => [int32(field?.length ?? -1), field ?? Buffer.alloc(0)]),
  ]
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** Cuts bytes in two at each place, and in three pieces of one byte each around it. */
export function* everyCut(bytes: Buffer): Generator<readonly Buffer[]> {
  for (let at = 0; at <= bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)]
  yield Array.from(bytes, (byte) => Buffer.of(byte))
}
