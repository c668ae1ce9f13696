/**
 * As much of WebAssembly's binary format as a few functions need: the sections of a module, and the instructions that are
 * used, by the names that the specification gives them.
 *
 * @see https://webassembly.github.io/spec/core/binary/index.html
 */

/** Bytes of a module, or of a part of one. */
export type Code = readonly number[]

const valueTypes = { i32: 0x7f, v128: 0x7b } as const

type ValueType = keyof typeof valueTypes

const EMPTY_BLOCK = 0x40
const END = 0x0b
const FUNCTION_TYPE = 0x60
const EXPORT_KINDS = { function: 0, memory: 2 } as const
/** Two to this power is what the address of 16 bytes may be expected to be a multiple of. */
const VECTOR_ALIGNMENT = 4
const UINT16_ALIGNMENT = 1
const INT32_ALIGNMENT = 2

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  load: (offset: number): Code => [0x28, INT32_ALIGNMENT, ...unsigned(offset)],
  load8_u: (offset: number): Code => [0x2d, 0, ...unsigned(offset)],
  load16_u: (offset: number): Code => [0x2f, UINT16_ALIGNMENT, ...unsigned(offset)],
  eqz: [0x45],
  ne: [0x47],
  lt_s: [0x48],
  lt_u: [0x49],
  ge_u: [0x4f],
  add: [0x6a],
  sub: [0x6b],
  rem_u: [0x70],
  and: [0x71],
  xor: [0x73],
  shl: [0x74],
  shr_u: [0x76],
} as const

/** Instructions on vectors are two numbers, of which this is the first: 0xfd. */
export const v128 = {
  load: (offset: number): Code => [0xfd, 0x00, VECTOR_ALIGNMENT, ...unsigned(offset)],
  /** Four 32-bit numbers. */
  const: (lanes: readonly number[]): Code => [0xfd, 0x0c, ...lanes.flatMap(littleEndian)],
  and: [0xfd, 0x4e],
  xor: [0xfd, 0x51],
} as const

export const i32x4 = {
  extract_lane: (lane: number): Code => [0xfd, 0x1b, lane],
  shr_u: [0xfd, 0xad, 0x01],
  mul: [0xfd, 0xb5, 0x01],
} as const

export const local = {
  get: (index: number): Code => [0x20, ...unsigned(index)],
  set: (index: number): Code => [0x21, ...unsigned(index)],
  tee: (index: number): Code => [0x22, ...unsigned(index)],
} as const

export const control = {
  /** What leads out of it goes to its end. */
  block: (...body: readonly Code[]): Code => [0x02, EMPTY_BLOCK, ...body.flat(), END],
  /** What leads out of it goes to its beginning. */
  loop: (...body: readonly Code[]): Code => [0x03, EMPTY_BLOCK, ...body.flat(), END],
  if: (...body: readonly Code[]): Code => [0x04, EMPTY_BLOCK, ...body.flat(), END],
  /** Leads out of the blocks, loops and ifs around it; 0 is the innermost. */
  br: (depth: number): Code => [0x0c, ...unsigned(depth)],
  br_if: (depth: number): Code => [0x0d, ...unsigned(depth)],
  return: [0x0f],
} as const

/** A module with some functions and a memory of its own, exported by these names. */
export interface ModuleDescription {
  readonly memory: { readonly name: string; readonly pages: number }
  readonly functions: readonly FunctionDescription[]
}

interface FunctionDescription {
  readonly name: string
  readonly parameters: readonly ValueType[]
  readonly result: ValueType
  /** Numbered after the parameters. */
  readonly locals: readonly ValueType[]
  readonly body: readonly Code[]
}

/** The bytes of the module. */
export function encodeModule({ memory, functions }: ModuleDescription): Uint8Array {
  const exported = functions.map(({ name: called }, index): Code => [
    ...name(called),
    EXPORT_KINDS.function,
    ...unsigned(index),
  ])
  return Uint8Array.from([
    ...text('\0asm'),
    ...littleEndian(1),
    ...section(1, functions.map(encodeType)),
    ...section(
      3,
      functions.map((_, index) => unsigned(index)),
    ),
    ...section(5, [[0, ...unsigned(memory.pages)]]),
    ...section(7, [...exported, [...name(memory.name), EXPORT_KINDS.memory, 0]]),
    ...section(10, functions.map(encodeCode)),
  ])
}

function encodeType({ parameters, result }: FunctionDescription): Code {
  return [FUNCTION_TYPE, ...vector(parameters.map(typeCode)), ...vector([typeCode(result)])]
}

function encodeCode({ locals, body }: FunctionDescription): Code {
  const declared = locals.map((type): Code => [...unsigned(1), valueTypes[type]])
  return sized([...vector(declared), ...body.flat(), END])
}

function typeCode(type: ValueType): Code {
  return [valueTypes[type]]
}

function section(id: number, items: readonly Code[]): Code {
  return [id, ...sized(vector(items))]
}

function vector(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()]
}

function sized(bytes: Code): Code {
  return [...unsigned(bytes.length), ...bytes]
}

function name(value: string): Code {
  return sized(text(value))
}

function text(value: string): Code {
  return [...Buffer.from(value)]
}

function littleEndian(value: number): Code {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]
}

/** LEB128: seven bits a byte, the lowest first, the eighth says that more follow. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)]
}

/** The same in two's complement. */
function signed(value: number): Code {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)]
}
