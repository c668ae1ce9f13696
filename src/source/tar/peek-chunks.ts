/** The first bytes of a stream, and the stream as if nobody had looked. */
export interface PeekedChunks {
  /** Fewer than asked for only when there are no more. */
  readonly start: Buffer
  readonly all: Iterable<Buffer>
}

/** Looks at the first bytes of a stream. What is read of it must be taken from `all` from now on. */
export function peekChunks(chunks: Iterable<Buffer>, count: number): PeekedChunks {
  const iterator = chunks[Symbol.iterator]()
  let start: Buffer = Buffer.alloc(0)
  for (let result = iterator.next(); result.done !== true; result = iterator.next()) {
    // The memory of a chunk is used again for the next.
    start = Buffer.concat([start, result.value])
    if (start.length >= count) break
  }
  return { start, all: joined(start, iterator) }
}

function* joined(start: Buffer, rest: Iterator<Buffer>): Generator<Buffer, void, undefined> {
  try {
    if (start.length > 0) yield start
    for (let result = rest.next(); result.done !== true; result = rest.next()) yield result.value
  } finally {
    rest.return?.()
  }
}
