import { createFileHasher } from '../src/manifest/checksum/file-hasher.js'

/** What computes checksums here, a line each, for `--version --verbose`. */
export async function describeEngines(): Promise<string> {
  const lines = await Promise.all(
    (['CRC32C', 'SHA256'] as const).map(async (algorithm) => {
      const { engine } = await createFileHasher(algorithm)
      return `${algorithm}: ${engine}\n`
    }),
  )
  return `node ${process.version}\n${lines.join('')}`
}
