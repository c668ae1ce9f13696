import { crc32cTables } from '../crc32c.js'
import { type Code, control, encodeModule, i32, local } from '../data-page/wasm-encoder.js'
import { plainRecordCrc, type RecordCrc } from './record-crc.js'
import { RECORD_HEADER_SIZE, recordFields } from './record-header.js'

const WASM_PAGE_BYTES = 65_536
/** So many bytes are taken in one step, by one table each. */
const SLICES = 16
const TABLE_BYTES = 1024

/** The functions' parameters and variables by their number. */
const crc = 0
const at = 1
const end = 2
const word = 3
const sum = 4
const record = 5
const limit = 6

/** What little of WebAssembly's JavaScript interface is used: Node has it, its types do not. */
interface WebAssemblyInterface {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => {
    readonly exports: {
      readonly extend: CrcFunction
      readonly skipIntact: CrcFunction
      readonly memory: { readonly buffer: ArrayBuffer }
    }
  }
}

/** Start and end are addresses in the module's memory. */
type CrcFunction = (crc: number, start: number, end: number) => number

/**
 * A buffer with a {@link RecordCrc} of WebAssembly. Over all records of a page it goes in one call, because of a short record the
 * calls would take longer than the rest.
 *
 * @throws where WebAssembly is not available
 */
function createWasmBuffer(bufferBytes: number): WalBuffer {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyInterface }).WebAssembly
  const tableBytes = SLICES * TABLE_BYTES
  const pages = Math.ceil((tableBytes + bufferBytes) / WASM_PAGE_BYTES)
  const { extend, skipIntact, memory } = new Instance(new Module(encodeRecordCrc(pages))).exports
  new Int32Array(memory.buffer).set(crc32cTables)
  return {
    buffer: Buffer.from(memory.buffer, tableBytes, bufferBytes),
    crc: {
      extend: (crc, { byteOffset }, start, end) => extend(crc, byteOffset + start, byteOffset + end),
      skipIntact: ({ byteOffset }, start, end) =>
        skipIntact(-1, byteOffset + start, byteOffset + end) - byteOffset,
    },
  }
}

function encodeRecordCrc(memoryPages: number): Uint8Array {
  const parameters = ['i32', 'i32', 'i32'] as const
  return encodeModule({
    memory: { name: 'memory', pages: memoryPages },
    functions: [
      {
        name: 'extend',
        parameters,
        result: 'i32',
        locals: ['i32', 'i32'],
        body: [takeToEnd(), local.get(crc)],
      },
      {
        name: 'skipIntact',
        parameters,
        result: 'i32',
        locals: ['i32', 'i32', 'i32', 'i32'],
        body: [skipIntactRecords(), local.get(record)],
      },
    ],
  })
}

/** From `at` to `limit`, as far as `record`. */
function skipIntactRecords(): Code {
  const lengthOfRecord = [local.get(record), i32.load(recordFields.totalLength)].flat()
  const room = [local.get(limit), local.get(record), i32.sub].flat()
  return [
    [local.get(at), local.set(record), local.get(end), local.set(limit)].flat(),
    control.block(
      control.loop(
        [...room, ...i32.const(RECORD_HEADER_SIZE), ...i32.lt_s, ...control.br_if(1)],
        [...lengthOfRecord, ...i32.const(RECORD_HEADER_SIZE), ...i32.lt_u, ...control.br_if(1)],
        [...room, ...lengthOfRecord, ...i32.lt_u, ...control.br_if(1)],
        [i32.const(-1), local.set(crc)].flat(),
        [local.get(record), i32.const(RECORD_HEADER_SIZE), i32.add, local.set(at)].flat(),
        [local.get(record), lengthOfRecord, i32.add, local.set(end)].flat(),
        takeToEnd(),
        [local.get(record), local.set(at)].flat(),
        [local.get(record), i32.const(recordFields.crc), i32.add, local.set(end)].flat(),
        takeToEnd(),
        // The CRC is stored with all bits turned.
        [local.get(record), i32.load(recordFields.crc), local.get(crc), i32.xor].flat(),
        [i32.const(-1), i32.ne, control.br_if(1)].flat(),
        // The next one begins at a multiple of 8.
        [local.get(record), lengthOfRecord, i32.add].flat(),
        [i32.const(7), i32.add, i32.const(-8), i32.and].flat(),
        [local.set(record), control.br(0)].flat(),
      ),
    ),
  ].flat()
}

/** Takes all from `at` to before `end`. */
function takeToEnd(): Code {
  return [whileLeft(16, takeWords(4)), whileLeft(4, takeWords(1)), whileLeft(1, takeByte())].flat()
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

/** Where pages of WAL are read to, and what computes the CRCs of what lies there. */
export interface WalBuffer {
  readonly buffer: Buffer
  /** For views of this buffer only. */
  readonly crc: RecordCrc
}

/** A buffer with the fastest CRC that works here: WebAssembly's takes less than half the time of JavaScript's. */
export function createWalBuffer(bytes: number): WalBuffer {
  try {
    return createWasmBuffer(bytes)
  } catch {
    // No WebAssembly (`--jitless`).
    return { buffer: Buffer.from(new ArrayBuffer(bytes)), crc: plainRecordCrc }
  }
}
