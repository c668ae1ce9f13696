import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { loadPieceCompressor } from '../../../src/files/compression/piece-compressor.js'
import { formatTarHeader, parseTarHeader, TAR_TRAILER } from '../../../src/files/tar/tar-header.js'
import { ArchiveStream, type StreamOutput, StreamState } from '../../../src/target/tar/archive-stream.js'
import { writeMember } from '../../../src/target/tar/stream-place.js'

/** Takes what is written, each piece a moment later. */
class Recorder implements StreamOutput {
  readonly pieces: Buffer[] = []
  #length = 0

  async write(bytes: Uint8Array, position: number): Promise<void> {
    if (position !== this.#length) throw new Error(`${position} is not the end, ${this.#length}`)
    this.#length += bytes.length
    const piece = Buffer.from(bytes)
    await setImmediate()
    this.pieces.push(piece)
  }
}

async function streams(
  count: number,
  output: StreamOutput,
  signal: AbortSignal = new AbortController().signal,
) {
  const memory = new SharedArrayBuffer(StreamState.bytes)
  const compressor = await loadPieceCompressor({ method: 'none', level: undefined })
  return Array.from({ length: count }, () => {
    const state = new StreamState(memory, 0)
    return new ArchiveStream({ state, output, compressor, limit: 2, signal })
  })
}

const member = (name: string) =>
  ({ name, kind: 'file', mode: 0o600, modified: 0, owner: { uid: 0, gid: 0 } }) as const

const MIB = 1024 * 1024

test('members of several writers are whole, small and large ones', async () => {
  const output = new Recorder()
  const [first, ...others] = await streams(3, output)
  await first?.begin()
  const sizes = [3 * MIB + 5, 100, 0, MIB - 512, MIB, 700_000, 2 * MIB, 12, 5 * MIB]
  await Promise.all(
    [first, ...others].map(async (stream, worker) => {
      for (const [index, size] of sizes.entries()) {
        if (stream !== undefined)
          await writeMember(stream, member(`${worker}-${index}`), Buffer.alloc(size, worker + 1))
      }
      await stream?.flush()
    }),
  )
  await first?.end(TAR_TRAILER)
  const archive = Buffer.concat(output.pieces)
  const found = new Map<string, number>()
  let at = 0
  while (archive[at] !== 0) {
    const header = parseTarHeader(archive.subarray(at, at + 512))
    if (typeof header === 'string') throw new Error(header)
    const name = header.name.toString()
    const bytes = archive.subarray(at + 512, at + 512 + header.size)
    expect(bytes.equals(Buffer.alloc(header.size, Number(name[0]) + 1))).toBe(true)
    found.set(name, header.size)
    at += 512 + Math.ceil(header.size / 512) * 512
  }
  expect(archive.length - at).toBe(1024)
  expect(found.size).toBe(3 * sizes.length)
  for (const [name, size] of found) expect(size).toBe(sizes[Number(name.slice(2))])
})

test('a member is taken back as long as nothing of it is on its way', async () => {
  const output = new Recorder()
  const [stream] = await streams(1, output)
  if (stream === undefined) return
  await writeMember(stream, member('kept'), Buffer.alloc(700, 'k'))
  await stream.write(Buffer.alloc(3000, 'x'))
  expect(stream.retract()).toBe(true)
  await writeMember(stream, member('next'), Buffer.alloc(100, 'n'))
  await stream.write(Buffer.alloc(3 * MIB, 'y'))
  expect(stream.retract()).toBe(false)
  await stream.flush()
  const archive = Buffer.concat(output.pieces).toString('latin1')
  expect(archive.indexOf('next')).toBe(512 + 1024)
  expect(archive).not.toContain('x'.repeat(100))
})

test('what fails to be written ends the stream', async () => {
  const failing: StreamOutput = { write: () => Promise.reject(new Error('disk full')) }
  const [stream] = await streams(1, failing)
  await stream?.write(formatTarHeader({ ...member('a'), size: 1 }))
  await stream?.endMember()
  await expect(stream?.flush()).rejects.toThrow('disk full')
  await expect(stream && writeMember(stream, member('b'), Buffer.alloc(5 * MIB))).rejects.toThrow('disk full')
})

test('who waits for a turn that nobody gives up is told to stop', async () => {
  const controller = new AbortController()
  const output = new Recorder()
  const [holder, waiter] = await streams(2, output, controller.signal)
  // Without an end.
  await holder?.write(Buffer.alloc(3 * MIB))
  const waiting = waiter && writeMember(waiter, member('b'), Buffer.alloc(5 * MIB))
  controller.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
})
