import {
  PAGE_CHECKSUM_PRIME,
  PAGE_CHECKSUM_SHIFT,
  type PageChecker,
  pageChecksum,
  pageChecksumBasis,
} from './page-checksum.js'
import { PAGE_SIZE, pageOffsets } from './page-layout.js'
import { type Code, control, encodeModule, i32, i32x4, local, v128 } from './wasm-encoder.js'

const WASM_PAGE_BYTES = 65_536
const VECTOR_BYTES = 16
/** All 32 sums of a page, four in each. */
const VECTORS = 8
const ROW_BYTES = VECTORS * VECTOR_BYTES

/** The function's parameters and variables by their number. */
const page = 0
const count = 1
const block = 2
const index = 3
const row = 4
const rowsEnd = 5
const mixed = 6
const firstSum = 7

const vectors = Array.from({ length: VECTORS }, (_, vector) => vector)

/** Everything of the page's first vector but its checksum. */
const withoutChecksum = v128.const([-1, -1, 0xffff_0000, -1])

const prime = v128.const([PAGE_CHECKSUM_PRIME, PAGE_CHECKSUM_PRIME, PAGE_CHECKSUM_PRIME, PAGE_CHECKSUM_PRIME])

/** What little of WebAssembly's JavaScript interface is used: Node has it, its types do not. */
interface WebAssemblyInterface {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => {
    readonly exports: {
      readonly findMismatch: PageChecker['findMismatch']
      readonly memory: { readonly buffer: ArrayBuffer }
    }
  }
}

/**
 * A {@link PageChecker} of WebAssembly's 128-bit vectors: about ten times as fast as JavaScript, which has neither
 * vectors nor a 32-bit multiplication that it would do several of at once.
 *
 * @throws where WebAssembly, or this part of it, is not available
 */
export function createSimdPageChecker(bufferBytes: number): PageChecker {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyInterface }).WebAssembly
  const pages = Math.ceil(bufferBytes / WASM_PAGE_BYTES)
  const { findMismatch, memory } = new Instance(new Module(encodePageChecker(pages))).exports
  return { engine: 'wasm-simd', buffer: Buffer.from(memory.buffer, 0, bufferBytes), findMismatch }
}

function encodePageChecker(memoryPages: number): Uint8Array {
  return encodeModule({
    memory: { name: 'memory', pages: memoryPages },
    functions: [
      {
        name: 'findMismatch',
        parameters: ['i32', 'i32', 'i32'],
        result: 'i32',
        locals: ['i32', 'i32', 'i32', 'v128', ...vectors.map(() => 'v128' as const)],
        body: [
          control.block(
            control.loop(
              [local.get(index), local.get(count), i32.ge_u, control.br_if(1)].flat(),
              [local.get(page), i32.load16_u(pageOffsets.upper)].flat(),
              control.if(...sumPage(), returnIndexOfMismatch()),
              [local.get(page), i32.const(PAGE_SIZE), i32.add, local.set(page)].flat(),
              [local.get(index), i32.const(1), i32.add, local.set(index)].flat(),
              control.br(0),
            ),
          ),
          i32.const(-1),
        ],
      },
    ],
  })
}

/** Leaves the sums in their variables. */
function sumPage(): Code[] {
  const load = (vector: number): Code => [...local.get(row), ...v128.load(vector * VECTOR_BYTES)]
  const nextRow = [local.get(row), i32.const(ROW_BYTES), i32.add, local.tee(row)].flat()
  return [
    ...vectors.flatMap((vector) => [v128.const(basisOf(vector)), local.set(firstSum + vector)]),
    [local.get(page), local.tee(row), i32.const(PAGE_SIZE), i32.add, local.set(rowsEnd)].flat(),
    [load(0), withoutChecksum, v128.and, mixInto(0)].flat(),
    ...vectors.slice(1).map((vector) => [load(vector), mixInto(vector)].flat()),
    [nextRow, local.set(row)].flat(),
    control.loop(
      ...vectors.map((vector) => [load(vector), mixInto(vector)].flat()),
      [nextRow, local.get(rowsEnd), i32.lt_u, control.br_if(0)].flat(),
    ),
    ...vectors.flatMap((vector) => [mixOnce(vector), mixOnce(vector)]),
  ]
}

function basisOf(vector: number): readonly number[] {
  return pageChecksumBasis.slice(vector * 4, vector * 4 + 4)
}

/** Takes the vector on the stack into the sums. */
function mixInto(vector: number): Code {
  const sum = firstSum + vector
  return [local.get(sum), v128.xor, local.tee(mixed), ...mixVector(sum)].flat()
}

function mixOnce(vector: number): Code {
  const sum = firstSum + vector
  return [local.get(sum), local.tee(mixed), ...mixVector(sum)].flat()
}

/** Of the vector on the stack, which is also in `mixed`. */
function mixVector(target: number): Code[] {
  return [
    prime,
    i32x4.mul,
    local.get(mixed),
    i32.const(PAGE_CHECKSUM_SHIFT),
    i32x4.shr_u,
    v128.xor,
    local.set(target),
  ]
}

/** Returns the page's index from the function, unless its sums make the checksum in its header. */
function returnIndexOfMismatch(): Code {
  const foldVectors = vectors.slice(1).map((vector) => [local.get(firstSum + vector), v128.xor].flat())
  const lanes = [0, 1, 2, 3].map((lane) => [local.get(mixed), i32x4.extract_lane(lane)].flat())
  return [
    [local.get(firstSum), ...foldVectors, local.set(mixed)],
    [...lanes, i32.xor, i32.xor, i32.xor],
    [local.get(block), local.get(index), i32.add, i32.xor],
    [i32.const(65_535), i32.rem_u, i32.const(1), i32.add],
    [local.get(page), i32.load16_u(pageOffsets.checksum), i32.ne],
    [control.if(local.get(index), control.return)],
  ].flat(2)
}

/** The fastest checker of page checksums that runs here, with a buffer of so many bytes. */
export function createPageChecker(bufferBytes: number): PageChecker {
  try {
    return createSimdPageChecker(bufferBytes)
  } catch {
    // No WebAssembly (`--jitless`), or none with vectors.
    return createPlainPageChecker(bufferBytes)
  }
}

/** A {@link PageChecker} without WebAssembly. */
export function createPlainPageChecker(bufferBytes: number): PageChecker {
  const buffer = Buffer.allocUnsafeSlow(bufferBytes)
  return {
    engine: 'javascript',
    buffer,
    findMismatch: (start, count, block) => {
      for (let index = 0; index < count; index++) {
        const page = start + index * PAGE_SIZE
        const isNew = buffer.readUInt16LE(page + pageOffsets.upper) === 0
        if (isNew) continue
        const stored = buffer.readUInt16LE(page + pageOffsets.checksum)
        if (stored !== pageChecksum(buffer, page, block + index)) return index
      }
      return -1
    },
  }
}
