/** How a field of a C struct on a little-endian 64-bit machine is read. */
const readers = {
  bool: (view: DataView, offset: number): boolean => view.getUint8(offset) !== 0,
  int32: (view: DataView, offset: number): number => view.getInt32(offset, true),
  uint32: (view: DataView, offset: number): number => view.getUint32(offset, true),
  uint64: (view: DataView, offset: number): bigint => view.getBigUint64(offset, true),
  double: (view: DataView, offset: number): number => view.getFloat64(offset, true),
  /** pg_time_t, seconds since 1970-01-01 00:00:00 UTC. */
  time: (view: DataView, offset: number): number => Number(view.getBigInt64(offset, true)),
} as const

type FieldKind = keyof typeof readers

/** The fields of a struct by name: offset in bytes, kind. */
export type StructFields = Readonly<Record<string, readonly [offset: number, kind: FieldKind]>>

/** The values of the fields of a struct. */
export type StructValues<Fields extends StructFields> = {
  readonly [Name in keyof Fields]: ReturnType<(typeof readers)[Fields[Name][1]]>
}

/** Reads one field. */
export function readField<Kind extends FieldKind>(
  view: DataView,
  [offset, kind]: readonly [offset: number, kind: Kind],
): ReturnType<(typeof readers)[Kind]> {
  return readers[kind](view, offset) as ReturnType<(typeof readers)[Kind]>
}

/**
 * Reads a C struct by a table of its fields.
 *
 * @param view - begins where the struct begins, and is long enough for every field.
 */
export function readStruct<Fields extends StructFields>(
  view: DataView,
  fields: Fields,
): StructValues<Fields> {
  const values = Object.entries(fields).map(([name, field]) => [name, readField(view, field)])
  return Object.fromEntries(values) as StructValues<Fields>
}
