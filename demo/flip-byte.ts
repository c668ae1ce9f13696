import { open } from 'node:fs/promises'

/** Inverts one byte of a file. Twice is as if nothing had happened. */
export async function flipByte(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, offset)
    byte.writeUInt8(byte.readUInt8() ^ 0xff)
    await file.write(byte, 0, 1, offset)
  } finally {
    await file.close()
  }
}
