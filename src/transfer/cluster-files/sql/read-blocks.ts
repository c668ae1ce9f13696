import { PbManifestError } from '../../../errors.js'
import { PAGE_SIZE } from '../../../postgres/data-page/page-layout.js'
import type { FileEvent, RequestedBlocks } from '../cluster-files.js'
import { BinaryCopyParser, type BinaryRowHandler } from './binary-copy-parser.js'
import { copiedRows, copyToStdout, readInt8 } from './copied-rows.js'
import { pathArray } from './path-expressions.js'
import { CHUNK_BYTES, QUERY_BYTES } from './read-steps.js'
import type { RenewableConnection } from './renewable-connection.js'
import { RecoveryConflicts } from './sql-error.js'

/** How many files are looked at by one query. */
const FILES_AT_ONCE = 1000

/** How many runs one query reads, about: its text has some ten characters for each. */
const RUNS_AT_ONCE = 20_000

/**
 * Blocks next to each other, which are read as one: the number of the first, and, in the lower bits, how many there are.
 */
type Run = number

const COUNT_BITS = 6
const COUNTS = 2 ** COUNT_BITS

/**
 * Of a file, what comes in one row and is given as one piece: many a run is a single block, and each piece passes through all that is done with
 * it.
 */
interface Piece {
  /** Its file's place in the list. */
  readonly file: number
  readonly runs: readonly Run[]
  readonly bytes: number
}

const MOST_BLOCKS = CHUNK_BYTES / PAGE_SIZE

interface StatedFile {
  readonly size: number
  readonly modified: number
}

/**
 * Reads some blocks of each of these files, in their order: one query tells how large they are, and then blocks next to each
 * other are read as one, and those of many files come in one COPY.
 *
 * @throws {@link PbManifestError} `SERVER` or `ABORTED`
 */
export async function* readBlocks(
  connection: RenewableConnection,
  files: readonly RequestedBlocks[],
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent, void, undefined> {
  for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
    yield* readBatch(connection, files.slice(at, at + FILES_AT_ONCE), signal)
  }
}

async function* readBatch(
  connection: RenewableConnection,
  files: readonly RequestedBlocks[],
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent, void, undefined> {
  const stated = await statFiles(connection, files)
  const pieces = files.flatMap(({ choose }, place) => {
    const size = stated[place]?.size
    return size === undefined ? [] : planPieces(choose(size), place)
  })
  const reader = readPieces(connection, files, pieces, signal)
  let next = 0
  try {
    for (const [place, { pathname }] of files.entries()) {
      const found = stated[place]
      if (found === undefined) {
        yield { type: 'vanished', pathname }
        continue
      }
      yield { type: 'file', pathname, ...found }
      for (; pieces[next]?.file === place; next++) {
        const read = await reader.next()
        if (read.done === true) throw tooFew()
        yield { type: 'bytes', bytes: read.value }
      }
      yield { type: 'end' }
    }
    // The COPY has an end to be read.
    await reader.next()
  } finally {
    await reader.return()
  }
}

async function statFiles(
  connection: RenewableConnection,
  files: readonly RequestedBlocks[],
): Promise<readonly (StatedFile | undefined)[]> {
  const query = `
    SELECT place, size, pg_catalog.date_part('epoch', modification)::bigint
      FROM pg_catalog.unnest(${pathArray(files.map(({ pathname }) => pathname))}) WITH ORDINALITY AS file (path, place),
           LATERAL pg_catalog.pg_stat_file(path, true)
     WHERE NOT isdir`
  return await connection.ask(async (current) => {
    const stated: (StatedFile | undefined)[] = files.map(() => undefined)
    for await (const { fields, value } of copiedRows(current, query, 3)) {
      const size = readInt8(fields[1])
      const place = (readInt8(fields[0]) ?? 0) - 1
      if (size === undefined || size < 0 || files[place] === undefined) throw tooFew()
      stated[place] = { size, modified: readInt8(value) ?? 0 }
    }
    return stated
  })
}

function planPieces(blocks: Uint32Array, file: number): Piece[] {
  const pieces: Piece[] = []
  for (let from = 0; from < blocks.length; from += MOST_BLOCKS) {
    const part = blocks.subarray(from, from + MOST_BLOCKS)
    pieces.push({ file, runs: planRuns(part), bytes: part.length * PAGE_SIZE })
  }
  return pieces
}

function planRuns(blocks: Uint32Array): Run[] {
  const runs: Run[] = []
  for (let from = 0; from < blocks.length;) {
    const block = blocks[from] ?? 0
    let count = 1
    while (blocks[from + count] === block + count) count++
    runs.push(block * COUNTS + count)
    from += count
  }
  return runs
}

function bytesOf(run: Run): number {
  return (run % COUNTS) * PAGE_SIZE
}

/** Gives the bytes of each piece, in memory that is used again when the next one is asked for: new memory costs more than what is read to it. */
async function* readPieces(
  connection: RenewableConnection,
  files: readonly RequestedBlocks[],
  pieces: readonly Piece[],
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const conflicts = new RecoveryConflicts()
  const free: Buffer[] = []
  for (let done = 0; done < pieces.length;) {
    const wanted = takeForOneQuery(pieces, done)
    const assembler = new PieceAssembler(wanted, () => free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES))
    const parser = new BinaryCopyParser(ROW_COLUMNS, assembler)
    try {
      for await (const chunks of connection.current.copyOut(readQuery(files, wanted), signal)) {
        for (const chunk of chunks) parser.push(chunk)
        for (const bytes of assembler.take()) {
          conflicts.forget()
          connection.goesOn()
          done++
          yield bytes
          free.push(Buffer.from(bytes.buffer))
        }
      }
      parser.end()
      if (!assembler.isComplete) throw tooFew()
    } catch (error) {
      // As with whole files: what was not read yet can be read by another query, over another connection.
      if (conflicts.allowRetry(error)) await connection.renew()
      else await connection.replaceLost(error)
    }
  }
}

function takeForOneQuery(pieces: readonly Piece[], from: number): readonly Piece[] {
  let bytes = 0
  let runs = 0
  let to = from
  for (; to < pieces.length && runs < RUNS_AT_ONCE && bytes < QUERY_BYTES; to++) {
    bytes += pieces[to]?.bytes ?? 0
    runs += pieces[to]?.runs.length ?? 0
  }
  return pieces.slice(from, to)
}

/** Columns of a row: the runs of a piece as they were read, and their bytes. */
const ROW_COLUMNS = 2

/**
 * The runs of a piece are a text of their numbers, the pieces come in their order: so nothing has to be sorted. The first column says in which order
 * runs were put together, and of those that lack something how much there is. A row for each run would take a tenth more of the server's time.
 */
function readQuery(files: readonly RequestedBlocks[], pieces: readonly Piece[]): string {
  const pathnames = pieces.map(({ file }) => files[file]?.pathname ?? '')
  const lists = pieces.map((piece) => `"${textOf(piece)}"`)
  return copyToStdout(`
    SELECT given, bytes
      FROM ROWS FROM (pg_catalog.unnest(${pathArray(pathnames)}), pg_catalog.unnest('{${lists.join(',')}}'::text[])) AS piece (path, runs),
           LATERAL (SELECT pg_catalog.string_agg(CASE WHEN pg_catalog.octet_length(found) = (run & ${COUNTS - 1}) * ${PAGE_SIZE} THEN run::text
                                                      ELSE run::text || '=' || coalesce(pg_catalog.octet_length(found), 0)::text END, ' '),
                           pg_catalog.string_agg(found, '')
                      FROM (SELECT run, pg_catalog.pg_read_binary_file(path, (run >> ${COUNT_BITS}) * ${PAGE_SIZE},
                                                                       (run & ${COUNTS - 1}) * ${PAGE_SIZE}, true)
                              FROM pg_catalog.unnest(pg_catalog.string_to_array(runs, ' ')::bigint[]) AS run OFFSET 0) AS part (run, found)
                   ) AS read (given, bytes)`)
}

function textOf({ runs }: Piece): string {
  return runs.join(' ')
}

/** Takes the bytes of the rows as pieces, in their order. */
class PieceAssembler implements BinaryRowHandler {
  readonly #pieces: readonly Piece[]
  readonly #allocate: () => Buffer
  #place = 0
  /** Of the piece: of each run, how many bytes there are; `undefined`: all. */
  #lengths: readonly number[] | undefined
  #bytes: Buffer = Buffer.alloc(0)
  #used = 0
  #complete: Buffer[] = []

  /** @param allocate - gives memory for a piece of any size, with nothing else in it */
  constructor(pieces: readonly Piece[], allocate: () => Buffer) {
    this.#pieces = pieces
    this.#allocate = allocate
  }

  get isComplete(): boolean {
    return this.#place === this.#pieces.length
  }

  /** Those that are complete since the last call. */
  take(): readonly Buffer[] {
    const complete = this.#complete
    this.#complete = []
    return complete
  }

  row(fields: readonly (Buffer | null)[], valueBytes = 0): void {
    const piece = this.#pieces[this.#place]
    const given = fields[0]?.toString('latin1')
    if (piece === undefined || given === undefined) throw outOfOrder()
    this.#lengths = given === textOf(piece) ? undefined : readLengths(given, piece)
    const expected = this.#lengths?.reduce((sum, length) => sum + length, 0) ?? piece.bytes
    if (valueBytes !== expected) throw outOfOrder()
    this.#bytes = this.#allocate().subarray(0, piece.bytes)
    this.#used = 0
  }

  value(bytes: Buffer): void {
    bytes.copy(this.#bytes, this.#used)
    this.#used += bytes.length
  }

  endOfRow(): void {
    const { runs = [] } = this.#pieces[this.#place] ?? {}
    if (this.#lengths !== undefined) spread(this.#bytes, this.#used, runs, this.#lengths)
    this.#complete.push(this.#bytes)
    this.#place++
  }
}

/** Reads `RUN=LENGTH` for each run that lacks something, and `RUN` for each other. */
function readLengths(given: string, { runs }: Piece): readonly number[] {
  const parts = given.split(' ')
  if (parts.length !== runs.length) throw outOfOrder()
  return runs.map((run, index) => {
    const [number, length] = parts[index]?.split('=') ?? []
    const bytes = length === undefined ? bytesOf(run) : Number(length)
    if (number !== String(run) || !(bytes >= 0 && bytes <= bytesOf(run))) throw outOfOrder()
    return bytes
  })
}

/**
 * Moves the bytes of runs, which follow one another, to their places. What is not there is zero: the file was cut meanwhile, maybe in the middle of
 * a page; as in a server's own backup, WAL replay sees to it.
 */
function spread(bytes: Buffer, used: number, runs: readonly Run[], lengths: readonly number[]): void {
  let from = used
  let to = bytes.length
  for (let index = runs.length - 1; index >= 0; index--) {
    const length = lengths[index] ?? 0
    from -= length
    const end = to
    to -= bytesOf(runs[index] ?? 0)
    bytes.copyWithin(to, from, from + length)
    bytes.fill(0, to + length - (length % PAGE_SIZE), end)
  }
}

function tooFew(): PbManifestError {
  return new PbManifestError('SERVER', 'the server says nothing of the blocks that it was asked for')
}

function outOfOrder(): PbManifestError {
  return new PbManifestError('SERVER', 'the rows of COPY are not in order')
}
