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

/** How many stretches of files one query reads: its text has some ten characters for each. */
const RUNS_AT_ONCE = 20_000

/** Blocks next to each other, which are read in one piece. */
interface Run {
  /** Its file's place in the list. */
  readonly file: number
  readonly block: number
  readonly count: number
}

const MOST_BLOCKS = CHUNK_BYTES / PAGE_SIZE

interface StatedFile {
  readonly size: number
  readonly modified: number
}

/**
 * Reads some blocks of each of these files, in their order: one query tells how large they are, and then blocks next to each
 * other come in one row, those of many files in one COPY.
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
  const runs = files.flatMap(({ choose }, place) => {
    const size = stated[place]?.size
    return size === undefined ? [] : planRuns(choose(size), place)
  })
  const reader = readRuns(connection, files, runs, signal)
  let next = 0
  try {
    for (const [place, { pathname }] of files.entries()) {
      const found = stated[place]
      if (found === undefined) {
        yield { type: 'vanished', pathname }
        continue
      }
      yield { type: 'file', pathname, ...found }
      for (; runs[next]?.file === place; next++) {
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

function planRuns(blocks: Uint32Array, file: number): Run[] {
  const runs: Run[] = []
  for (let from = 0; from < blocks.length;) {
    const block = blocks[from] ?? 0
    let count = 1
    while (count < MOST_BLOCKS && blocks[from + count] === block + count) count++
    runs.push({ file, block, count })
    from += count
  }
  return runs
}

/** Gives the bytes of each run, whole. */
async function* readRuns(
  connection: RenewableConnection,
  files: readonly RequestedBlocks[],
  runs: readonly Run[],
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const conflicts = new RecoveryConflicts()
  for (let done = 0; done < runs.length;) {
    const wanted = takeForOneQuery(runs, done)
    const assembler = new RunAssembler(wanted)
    const parser = new BinaryCopyParser(RUN_COLUMNS, assembler)
    try {
      for await (const pieces of connection.current.copyOut(runsQuery(files, wanted), signal)) {
        for (const piece of pieces) parser.push(piece)
        for (const bytes of assembler.take()) {
          conflicts.forget()
          connection.goesOn()
          done++
          yield bytes
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

function takeForOneQuery(runs: readonly Run[], from: number): readonly Run[] {
  let bytes = 0
  let to = from
  while (to < runs.length && to - from < RUNS_AT_ONCE && bytes < QUERY_BYTES) {
    bytes += (runs[to]?.count ?? 0) * PAGE_SIZE
    to++
  }
  return runs.slice(from, to)
}

/** Columns of a row: the number of its first block, and its bytes. */
const RUN_COLUMNS = 2

/** A run is one number in the query: its block, and, in the lower bits, how many there are. */
const COUNT_BITS = 6

/** The runs of a file are a text of their numbers, the files come in their order: so nothing has to be sorted. */
function runsQuery(files: readonly RequestedBlocks[], runs: readonly Run[]): string {
  const byFile = new Map<number, number[]>()
  for (const { file, block, count } of runs) {
    const number = block * 2 ** COUNT_BITS + count
    const known = byFile.get(file)
    if (known === undefined) byFile.set(file, [number])
    else known.push(number)
  }
  const pathnames = [...byFile.keys()].map((file) => files[file]?.pathname ?? '')
  const lists = [...byFile.values()].map((numbers) => `"${numbers.join(' ')}"`)
  return copyToStdout(`
    SELECT run >> ${COUNT_BITS},
           pg_catalog.pg_read_binary_file(path, (run >> ${COUNT_BITS}) * ${PAGE_SIZE}, (run & ${2 ** COUNT_BITS - 1}) * ${PAGE_SIZE}, true)
      FROM ROWS FROM (pg_catalog.unnest(${pathArray(pathnames)}), pg_catalog.unnest('{${lists.join(',')}}'::text[])) AS file (path, runs),
           LATERAL pg_catalog.unnest(pg_catalog.string_to_array(runs, ' ')::bigint[]) AS run`)
}

/** Puts the bytes of runs together, in their order. */
class RunAssembler implements BinaryRowHandler {
  readonly #runs: readonly Run[]
  #place = 0
  #bytes: Buffer = Buffer.alloc(0)
  #used = 0
  #complete: Buffer[] = []

  constructor(runs: readonly Run[]) {
    this.#runs = runs
  }

  get isComplete(): boolean {
    return this.#place === this.#runs.length
  }

  /** Those that are complete since the last call. */
  take(): readonly Buffer[] {
    const complete = this.#complete
    this.#complete = []
    return complete
  }

  row(fields: readonly (Buffer | null)[]): void {
    const run = this.#runs[this.#place]
    if (run === undefined || readInt8(fields[0]) !== run.block) throw outOfOrder()
    this.#bytes = Buffer.allocUnsafe(run.count * PAGE_SIZE)
    this.#used = 0
  }

  value(piece: Buffer): void {
    if (this.#used + piece.length > this.#bytes.length) throw outOfOrder()
    piece.copy(this.#bytes, this.#used)
    this.#used += piece.length
  }

  endOfRow(): void {
    // The file was cut meanwhile, maybe in the middle of a page; as in a server's own backup, WAL replay sees to it.
    this.#bytes.fill(0, Math.floor(this.#used / PAGE_SIZE) * PAGE_SIZE)
    this.#complete.push(this.#bytes)
    this.#place++
  }
}

function tooFew(): PbManifestError {
  return new PbManifestError('SERVER', 'the server says nothing of the blocks that it was asked for')
}

function outOfOrder(): PbManifestError {
  return new PbManifestError('SERVER', 'the rows of COPY are not in order')
}
