/** The checksum of lz4 frames. */
export interface XxHash32 {
  /** Begins anew. */
  readonly reset: () => void
  readonly update: (bytes: Buffer) => void
  readonly digest: () => number
  /** Of these bytes alone. */
  readonly of: (bytes: Buffer) => number
}

/** A hasher of its own, by `hash-wasm`. */
export async function loadXxHash32(): Promise<XxHash32> {
  const { createXXHash32 } = await import('hash-wasm')
  const hasher = await createXXHash32()
  const digest = (): number => Buffer.from(hasher.digest('binary')).readUInt32BE()
  return {
    reset: () => {
      hasher.init()
    },
    update: (bytes) => {
      hasher.update(bytes)
    },
    digest,
    of: (bytes) => {
      hasher.init().update(bytes)
      return digest()
    },
  }
}
