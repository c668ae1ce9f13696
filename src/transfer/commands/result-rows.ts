import { displayPathname, encodePathname } from '../../files/pathname.js'
import { requireSafePathname, type SafePathname } from '../../files/safe-pathname.js'
import { isBackupId } from '../../manifest/fragment/backup-id.js'
import { formatLsn, parseLsn } from '../../postgres/lsn.js'
import { parsePositiveUnsignedInt32 } from '../../postgres/unsigned-int.js'
import { isWalSegmentSize, parseWalFileName, type WalFileName } from '../../postgres/wal-segment.js'
import { KeptRows } from '../connection/kept-rows.js'
import type { WireRow, WireType } from '../wire/wire-handler.js'
import {
  agentProtocolError,
  type Answers,
  type ResultFormat,
  type ResultOutput,
  type Value,
} from './command-contract.js'

/** A column of a result, and how its values are written and read. */
export interface Column<Item> {
  readonly name: string
  readonly type: WireType
  /** An older agent does not have it, which is as if it were null. */
  readonly isOptional?: boolean
  readonly encode: (item: Item) => WireRow[number]
  /** @throws {@link PbManifestError} `SERVER` when the value makes no sense */
  readonly decode: (value: Value) => Item
}

/** The columns of a row by the names of its properties. Their order is part of the protocol. */
export type Columns<Row> = { readonly [Key in keyof Row]-?: Column<Row[Key]> }

/** A result of one row. */
export function oneRow<Row extends object>(columns: Columns<Row>): ResultFormat<Row> {
  return {
    encode: async (row, output) => await sendRows(columns, [row], output),
    decode: async (answers) => {
      const [row, ...others] = await readRows(columns, answers)
      if (row === undefined || others.length > 0) throw agentProtocolError('one row was expected')
      return row
    },
  }
}

/** A result that is a list: long ones are made row by row, when they are taken. */
export function rowForEach<Row extends object>(columns: Columns<Row>): ResultFormat<readonly Row[]> {
  return {
    encode: async (list, output) => await sendRows(columns, list, output),
    decode: async (answers) => await readRows(columns, answers),
  }
}

async function sendRows<Row>(
  columns: Columns<Row>,
  list: readonly Row[],
  output: ResultOutput,
): Promise<void> {
  const keys = keysOf(columns)
  const described = keys.map((key) => ({ name: columns[key].name, type: columns[key].type }))
  function* rows(): Generator<WireRow, void, undefined> {
    for (const item of list) yield keys.map((key) => columns[key].encode(item[key]))
  }
  await output.rows(described, rows())
}

/** They are read by the names of their columns: a later agent may have more of them, or another order. */
async function readRows<Row extends object>(columns: Columns<Row>, answers: Answers): Promise<Row[]> {
  const rows: Row[] = []
  const kept = new KeptRows()
  let read = rowReader(columns, [])
  for await (const batch of answers) {
    for (const answer of batch) {
      if (answer.type === 'columns') read = rowReader(columns, answer.names)
      if (answer.type !== 'row') continue
      kept.add()
      rows.push(read(answer.values))
    }
  }
  return rows
}

function rowReader<Row extends object>(
  columns: Columns<Row>,
  names: readonly string[],
): (values: readonly Value[]) => Row {
  const places = keysOf(columns).map((key) => [key, names.indexOf(columns[key].name)] as const)
  return (values) => {
    const row: Partial<Row> = {}
    for (const [key, place] of places) row[key] = readValue(columns[key], values[place])
    // A column is there for each of its properties.
    return row as Row
  }
}

function readValue<Item>(column: Column<Item>, value: Value | undefined): Item {
  if (value === undefined && column.isOptional !== true) {
    throw agentProtocolError(`a row has no column "${column.name}"`)
  }
  return column.decode(value ?? null)
}

function keysOf<Row>(columns: Columns<Row>): (keyof Row)[] {
  return Object.keys(columns) as (keyof Row)[]
}

/** @param decode - `undefined`: it makes no sense */
function column<Item>(
  name: string,
  type: WireType,
  encode: (item: Item) => string | Uint8Array,
  decode: (text: string) => Item | undefined,
): Column<Item> {
  return {
    name,
    type,
    encode,
    decode: (value) => {
      if (value === null) throw agentProtocolError(`column "${name}" is null`)
      const item = decode(value)
      if (item === undefined) throw agentProtocolError(`the value of column "${name}" makes no sense`)
      return item
    },
  }
}

/** A column that may be null, which is `undefined` here. */
export function orNull<Item>(column: Column<Item>): Column<Item | undefined> {
  return {
    ...column,
    encode: (item) => (item === undefined ? null : column.encode(item)),
    decode: (value) => (value === null ? undefined : column.decode(value)),
  }
}

/** A column that an older agent does not have. */
export function laterColumn<Item>(column: Column<Item | undefined>): Column<Item | undefined> {
  return { ...column, isOptional: true }
}

export function text(name: string): Column<string> {
  return column(name, 'text', String, String)
}

/** One of these words. */
export function word<Word extends string>(name: string, words: readonly Word[]): Column<Word> {
  return column(name, 'text', String, (value) => words.find((word) => word === value))
}

export function bytes(name: string): Column<Buffer> {
  return column(name, 'text', (value) => value, encodePathname)
}

export function bool(name: string): Column<boolean> {
  return column(
    name,
    'bool',
    (value) => (value ? 't' : 'f'),
    (value) => (value === 't' ? true : value === 'f' ? false : undefined),
  )
}

/** A whole number, not negative. */
export function count(name: string, type: 'int4' | 'int8'): Column<number> {
  return column(name, type, String, parseCount)
}

/** An OID, or a timeline: never 0. */
export function unsignedInt32(name: string): Column<number> {
  return column(name, 'int8', String, parsePositiveUnsignedInt32)
}

/** Seconds since 1970; before it, they are negative. */
export function seconds(name: string): Column<number> {
  return column(name, 'int8', String, (value) => {
    if (!value.startsWith('-')) return parseCount(value)
    const before = parseCount(value.slice(1))
    return before === undefined ? undefined : -before
  })
}

/** Permission bits, as `chmod` takes them; not known everywhere, and an older agent does not tell them. */
export function mode(name: string): Column<number | undefined> {
  const known = column<number>(
    name,
    'text',
    (value) => value.toString(8).padStart(4, '0'),
    (value) => (/^0[0-7]{3}$/.test(value) ? Number.parseInt(value, 8) : undefined),
  )
  return laterColumn(orNull(known))
}

export function lsn(name: string): Column<bigint> {
  return column(name, 'text', formatLsn, parseLsn)
}

export function systemIdentifier(name: string): Column<bigint> {
  return column(name, 'text', String, (value) => (/^[0-9]{1,20}$/.test(value) ? BigInt(value) : undefined))
}

export function backupId(name: string): Column<string> {
  return column(name, 'text', String, (value) => (isBackupId(value) ? value : undefined))
}

export function walSegmentSize(name: string): Column<number> {
  return column(name, 'int8', String, (value) => {
    const size = parseCount(value)
    return size !== undefined && isWalSegmentSize(size) ? size : undefined
  })
}

export function safePathname(name: string): Column<SafePathname> {
  return column(name, 'text', String, (value) => requireSafePathname(value, agentProtocolError))
}

export function walFileName(name: string): Column<WalFileName> {
  return column(name, 'text', String, (value) => {
    const found = parseWalFileName(value)
    if (found === undefined) throw agentProtocolError(`there is no file of WAL "${displayPathname(value)}"`)
    return found
  })
}

function parseCount(text: string): number | undefined {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(value) ? value : undefined
}
