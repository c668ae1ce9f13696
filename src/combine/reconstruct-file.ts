import type { FileHasher } from '../manifest/checksum/file-hasher.js'
import { PAGE_SIZE } from '../postgres/data-page/page-layout.js'
import type { FilePages } from './file-pages.js'
import { IncrementalPages, type IncrementalSource } from './incremental-source.js'
import type { InputFile } from './input-file.js'
import { FROM_NOWHERE, type Reconstruction } from './plan-reconstruction.js'
import type { NewFile } from './target-files.js'

/** From what a file is put together. */
export interface Sources {
  /** The newest first. */
  readonly incremental: readonly IncrementalSource[]
  /** The whole file, of the backup before them. */
  readonly whole: InputFile
}

/** Where the blocks of a file go, and who looks at them on the way. */
export interface BlockSink {
  /** `undefined`: nothing is to be written any more, but the inputs are still compared. */
  readonly file: NewFile | undefined
  readonly hasher: FileHasher | undefined
  readonly pages: FilePages | undefined
  /** Whole pages; that of the page checker. */
  readonly buffer: Buffer
  /** As large as `buffer`. */
  readonly scratch: Buffer
  /** Is called between pieces; may throw to end it. */
  readonly onChunk: () => void
}

/**
 * Puts a file together, piece by piece: the whole file's part is read to where it goes, and the pages of the incremental files are laid over it. Each
 * input is read from its start to its end when it is compared with its manifest, and else only where something is needed.
 *
 * @throws {@link InputFault} or {@link PbManifestError} `IO`
 */
export function reconstructFile(sources: Sources, plan: Reconstruction, sink: BlockSink): void {
  const { buffer, scratch, onChunk } = sink
  const chunkBlocks = buffer.length / PAGE_SIZE
  const layers = sources.incremental.map((source, index) => ({
    index,
    source,
    pages: new IncrementalPages(source),
  }))
  const end = Math.max(
    plan.blocks,
    ...sources.incremental.map(({ input, layout }) =>
      input.isCompared ? (layout.blocks.at(-1) ?? -1) + 1 : 0,
    ),
  )
  for (let first = 0; first < end; first += chunkBlocks) {
    const next = Math.min(first + chunkBlocks, end)
    readWholePart(sources, plan, first, next, buffer)
    for (const { index, source, pages } of layers) {
      const blocks = pages.upTo(next)
      if (blocks.length === 0) continue
      if (!source.input.isCompared && !blocks.some((block) => plan.origins[block] === index)) {
        pages.skip(blocks.length)
        continue
      }
      layOver(blocks, index, plan, { from: pages.read(blocks.length), to: buffer, first })
    }
    const count = Math.max(0, Math.min(next, plan.blocks) - first)
    if (count > 0) pass(count, first, sink)
    onChunk()
  }
  for (const { source } of layers) source.input.finish(scratch, onChunk)
  sources.whole.finish(scratch, onChunk)
}

/** Fills the buffer with the whole file's blocks, and with zeros where nothing is from it. */
function readWholePart(
  { whole, incremental }: Sources,
  { origins, blocks }: Reconstruction,
  first: number,
  next: number,
  buffer: Buffer,
): void {
  const part = origins.subarray(first, Math.min(next, blocks))
  const isNeeded = whole.isCompared || part.includes(incremental.length)
  const bytes = isNeeded ? whole.read(buffer.subarray(0, (next - first) * PAGE_SIZE), first * PAGE_SIZE) : 0
  // Behind its end, and what of it lies behind the length that the newest backup states.
  if (bytes < (next - first) * PAGE_SIZE || part.includes(FROM_NOWHERE)) {
    for (const [index, origin] of part.entries()) {
      if (origin === FROM_NOWHERE) buffer.fill(0, index * PAGE_SIZE, (index + 1) * PAGE_SIZE)
    }
  }
}

function layOver(
  blocks: Uint32Array,
  index: number,
  { origins }: Reconstruction,
  { from, to, first }: { readonly from: Buffer; readonly to: Buffer; readonly first: number },
): void {
  for (let at = 0; at < blocks.length; at++) {
    const block = blocks[at] as number
    if (origins[block] !== index) continue
    from.copy(to, (block - first) * PAGE_SIZE, at * PAGE_SIZE, (at + 1) * PAGE_SIZE)
  }
}

function pass(count: number, first: number, { file, hasher, pages, buffer }: BlockSink): void {
  const bytes = buffer.subarray(0, count * PAGE_SIZE)
  pages?.take(count, first)
  hasher?.update(bytes)
  file?.write(bytes)
}

/** A file that is read whole, and written as it is. */
export function copyWhole(input: InputFile, sink: BlockSink): { readonly restBytes: number } {
  const { buffer, scratch, onChunk, file, hasher, pages } = sink
  let position = 0
  for (;;) {
    const bytes = input.read(buffer, position)
    if (bytes === 0) break
    pages?.take(Math.floor(bytes / PAGE_SIZE), position / PAGE_SIZE)
    const part = bytes === buffer.length ? buffer : buffer.subarray(0, bytes)
    hasher?.update(part)
    file?.write(part)
    position += bytes
    onChunk()
    if (bytes < buffer.length) break
  }
  input.finish(scratch, onChunk)
  return { restBytes: position % PAGE_SIZE }
}
