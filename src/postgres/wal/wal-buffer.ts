import { crc32cTables, extendCrc32c } from '../crc32c.js'
import { type Code, control, encodeModule, i32, local } from '../data-page/wasm-encoder.js'

const WASM_PAGE_BYTES = 65_536
/** So many bytes are taken in one step, by one table each. */
const SLICES = 16
const TABLE_BYTES = 1024

/** The function's parameters and variables by their number. */
const crc = 0
const at = 1
const end = 2
const word = 3
const sum = 4

/** What little of WebAssembly's JavaScript interface is used: Node has it, its types do not. */
interface WebAssemblyInterface {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => {
    readonly exports: {
      readonly extend: (crc: number, start: number, end: number) => number
      readonly memory: { readonly buffer: ArrayBuffer }
    }
  }
}

/** Computes the CRC-32C of what lies in a buffer of its own. */
interface BufferCrc32c {
  /** Where bytes have to be for it. */
  readonly buffer: Buffer
  /** As `extendCrc32c`; start and end are addresses in the buffer's memory, counted from that memory's beginning. */
  readonly extend: (crc: number, start: number, end: number) => number
}

/**
 * A {@link BufferCrc32c} of WebAssembly.
 *
 * @throws where WebAssembly is not available
 */
export function createWasmCrc32c(bufferBytes: number): BufferCrc32c {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyInterface }).WebAssembly
  const tableBytes = SLICES * TABLE_BYTES
  const pages = Math.ceil((tableBytes + bufferBytes) / WASM_PAGE_BYTES)
  const { extend, memory } = new Instance(new Module(encodeCrc32c(pages))).exports
  new Int32Array(memory.buffer).set(crc32cTables)
  return { buffer: Buffer.from(memory.buffer, tableBytes, bufferBytes), extend }
}

function encodeCrc32c(memoryPages: number): Uint8Array {
  return encodeModule({
    memory: { name: 'memory', pages: memoryPages },
    function: {
      name: 'extend',
      parameters: ['i32', 'i32', 'i32'],
      result: 'i32',
      locals: ['i32', 'i32'],
      body: [
        whileLeft(16, takeWords(4)),
        whileLeft(4, takeWords(1)),
        whileLeft(1, takeByte()),
        local.get(crc),
      ],
    },
  })
}

/** Repeats a step of so many bytes while there are so many; the end may also lie before the start. */
function whileLeft(bytes: number, step: Code): Code {
  return control.block(
    control.loop(
      [local.get(end), local.get(at), i32.sub, i32.const(bytes), i32.lt_s, control.br_if(1)].flat(),
      step,
      [local.get(at), i32.const(bytes), i32.add, local.set(at), control.br(0)].flat(),
    ),
  )
}

/** Takes words into the CRC at once. */
function takeWords(count: number): Code {
  const words = Array.from({ length: count }, (_, index) => index)
  const steps = words.flatMap((index) => [
    [local.get(at), i32.load(4 * index)],
    index === 0 ? [local.get(crc), i32.xor] : [],
    [local.set(word)],
    lookUp(4 * (count - index) - 1),
    index === 0 ? [local.set(sum)] : [local.get(sum), i32.xor, local.set(sum)],
  ])
  return [...steps.flat(2), ...local.get(sum), ...local.set(crc)]
}

/** What the four bytes of the word leave, by the tables from this one downwards. */
function lookUp(table: number): Code[] {
  const entry = (byte: number): Code => {
    // An entry has four bytes.
    const shifted = byte === 0 ? [i32.const(2), i32.shl] : [i32.const(8 * byte - 2), i32.shr_u]
    return [
      local.get(word),
      ...shifted,
      i32.const(0x3fc),
      i32.and,
      i32.load((table - byte) * TABLE_BYTES),
    ].flat()
  }
  return [entry(0), entry(1), i32.xor, entry(2), i32.xor, entry(3), i32.xor]
}

function takeByte(): Code {
  return [
    [local.get(crc), local.get(at), i32.load8_u(0), i32.xor, i32.const(0xff), i32.and],
    [i32.const(2), i32.shl, i32.load(0)],
    [local.get(crc), i32.const(8), i32.shr_u, i32.xor, local.set(crc)],
  ].flat(2)
}

/** Where pages of WAL are read to, and what computes the CRC of what lies there. */
export interface WalBuffer {
  readonly buffer: Buffer
  /** As {@link extendCrc32c}, for views of this buffer only. */
  readonly extendCrc32c: typeof extendCrc32c
}

/** A buffer with the fastest CRC that works here: WebAssembly's takes less than half the time of JavaScript's. */
export function createWalBuffer(bytes: number): WalBuffer {
  try {
    const { buffer, extend } = createWasmCrc32c(bytes)
    return {
      buffer,
      extendCrc32c: (crc, { byteOffset }, start, end) => extend(crc, byteOffset + start, byteOffset + end),
    }
  } catch {
    // No WebAssembly (`--jitless`).
    return { buffer: Buffer.from(new ArrayBuffer(bytes)), extendCrc32c }
  }
}
