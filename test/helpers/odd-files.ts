import { mkdir, writeFile } from 'node:fs/promises'

/**
 * Pathnames, relative to the data directory, that a manifest must escape or encode. Bytes, because not all are text.
 */
export const oddPathnames: readonly Buffer[] = [
  Buffer.from('odd "quoted"'),
  Buffer.from('odd back\\slash'),
  Buffer.from('odd new\nline'),
  Buffer.from('odd control \u0001\t\u001f\u007f'),
  Buffer.from('odd größe 数据 🐘'),
  Buffer.concat([Buffer.from('odd not utf-8 '), Buffer.from([0xff, 0xfe, 0x80])]),
  // An overlong encoding of "/" and a surrogate: decoders that are not strict take them.
  Buffer.concat([Buffer.from('odd overlong '), Buffer.from([0xc0, 0xaf, 0xed, 0xa0, 0x80])]),
  Buffer.from('odd dir é/.hidden file'),
]

/** Puts small files of these names into a data directory, where a base backup takes them along. */
export async function writeOddFiles(dataDirectory: string): Promise<void> {
  for (const name of oddPathnames) {
    const path = Buffer.concat([Buffer.from(`${dataDirectory}/`), name])
    await mkdir(path.subarray(0, path.lastIndexOf('/')), { recursive: true })
    await writeFile(path, `the file ${name.toString('hex')}\n`)
  }
}
