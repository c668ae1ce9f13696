import { expect } from 'vitest'

/** What `toThrow` takes to expect a `PbManifestError` `BAD_FILE` with exactly this message. */
export function badFileError(message: string): unknown {
  return expect.objectContaining({ name: 'PbManifestError', code: 'BAD_FILE', message })
}
