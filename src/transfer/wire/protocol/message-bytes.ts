/** A message of the server: its type, its length, its payload. Not for bulk data: the payload is copied. */
export function message(type: string, ...payload: readonly Uint8Array[]): Buffer {
  const payloadBytes = payload.reduce((total, { length }) => total + length, 0)
  return Buffer.concat([messageHeader(type, payloadBytes), ...payload])
}

/** Type and length of a message. */
export function messageHeader(type: string, payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(5)
  header.write(type, 0, 'latin1')
  header.writeInt32BE(payloadBytes + 4, 1)
  return header
}

export function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

export function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeInt16BE(value)
  return bytes
}

/** A string and its NUL. What stands after a NUL in it would be taken for something else, so there it ends. */
export function cString(text: string): Buffer {
  const nul = text.indexOf('\0')
  return Buffer.from(`${nul === -1 ? text : text.slice(0, nul)}\0`, 'utf8')
}
