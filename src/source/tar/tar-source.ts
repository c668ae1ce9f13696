import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { readNames } from '../../files/read-directory.js'
import { type BackupSource, type SourceFile, SourceReadError } from '../backup-source.js'
import { type Archive, parseArchiveName, pathnamePrefix } from './archive.js'
import { ArchiveNotThereError, type ArchivePlace } from './archive-place.js'
import { unpack } from './unpacked-archive.js'

/** A backup in tar format. */
export interface TarSet {
  /** As it is shown. */
  readonly shown: string
  readonly archives: readonly Archive[]
  /** Where those without a path come from. */
  readonly place: ArchivePlace | undefined
  readonly signal: AbortSignal | undefined
}

/**
 * A backup in tar format, of which each archive is read once, by a thread of its own; several beside each other, where there are
 * several lanes.
 */
export function openTarSource(set: TarSet): BackupSource {
  const source: BackupSource = {
    place: set.shown,
    async *files(wanted) {
      for (const lane of source.lanes(wanted, 1, undefined)) yield* lane
    },
    lanes(wanted, count, also) {
      const reading = new TarReading(set, wanted, also)
      return Array.from({ length: Math.max(1, Math.min(count, set.archives.length)) }, () => reading.lane())
    },
  }
  return source
}

/**
 * The archives in a directory, by their names.
 *
 * @throws {@link PbManifestError} `IO`, also for two that should hold the same
 */
export function archivesIn(directory: string): Archive[] {
  const archives = new Map<string, Archive>()
  for (const name of readNames(directory)) {
    const parsed = parseArchiveName(name)
    if (parsed === undefined) continue
    const key = JSON.stringify(parsed.contents)
    const other = archives.get(key)
    if (other !== undefined) {
      throw new PbManifestError(
        'IO',
        `"${displayPathname(name)}" and "${displayPathname(other.name)}" should hold the same part of the backup`,
      )
    }
    archives.set(key, { ...parsed, name, path: `${directory}/${name}`, size: 0 })
  }
  return [...archives.values()]
}

/** One pass over the archives. */
class TarReading {
  readonly #set: TarSet
  readonly #also: RegExp | undefined
  readonly #archives: Archive[]
  readonly #wanted: ReadonlySet<Pathname>
  /** Those that were not met yet. */
  readonly #missing: Set<Pathname>
  /** Of which files it is not known whether they would have come, and why. */
  readonly #failures = new Map<string, string>()
  #lanes = 0

  constructor(set: TarSet, wanted: Iterable<Pathname>, also: RegExp | undefined) {
    this.#set = set
    this.#also = also
    this.#wanted = new Set(wanted)
    this.#missing = new Set(this.#wanted)
    const prefixes = new Set(set.archives.map(({ contents }) => pathnamePrefix(contents)))
    const needed = new Set([...this.#wanted].map((pathname) => prefixOf(pathname, prefixes)))
    if (also !== undefined) for (const prefix of ['', 'pg_wal/']) needed.add(prefix)
    // pg_wal comes last: it is unpacked over what the archive of the data directory has there.
    this.#archives = set.archives
      .filter(({ contents }) => needed.has(pathnamePrefix(contents)))
      .toSorted((left, right) => Number(left.contents === 'pg_wal') - Number(right.contents === 'pg_wal'))
  }

  async *lane(): AsyncGenerator<SourceFile, void, undefined> {
    this.#lanes++
    for (;;) {
      const archive = this.#archives.shift()
      if (archive === undefined) break
      yield* this.#read(archive)
    }
    if (--this.#lanes > 0) return
    const [failure] = this.#failures.values()
    // What else would have come, nobody knows.
    if (this.#also !== undefined && failure !== undefined) throw new SourceReadError(failure)
    for (const pathname of this.#missing) yield this.#lacking(pathname)
  }

  async *#read(archive: Archive): AsyncGenerator<SourceFile, void, undefined> {
    const { place, signal } = this.#set
    const prefix = pathnamePrefix(archive.contents)
    const wanted = { prefix, names: this.#wanted, pattern: this.#also?.source }
    const events = new MemberEvents(unpack(archive, { wanted, place, signal }))
    try {
      for (;;) {
        if (this.#missing.size === 0 && this.#also === undefined) return
        const member = await events.nextMember()
        if (member === undefined) return
        const { pathname, kind, size, modified } = member
        if (kind === 'directory') continue
        this.#missing.delete(pathname)
        if (kind !== 'file') {
          yield { type: 'unreadable', pathname, message: `it is a ${kind} in archive "${archive.name}"` }
          continue
        }
        yield {
          type: 'file',
          pathname,
          size,
          modified: new Date(modified * 1000),
          chunks: () => events.chunks(archive.name),
        }
      }
    } catch (error) {
      if (!(error instanceof SourceReadError)) throw error
      if (error instanceof ArchiveNotThereError && archive.contents === 'pg_wal') return
      this.#failures.set(prefix, describe(archive, error))
    } finally {
      await events.close()
    }
  }

  #lacking(pathname: Pathname): SourceFile {
    const failure = this.#failures.get(prefixOf(pathname, new Set(this.#failures.keys())))
    if (failure === undefined) return { type: 'absent', pathname }
    return { type: 'unreadable', pathname, message: failure }
  }
}

function describe({ name }: Archive, { message, detail }: SourceReadError): string {
  return `archive "${name}": ${message}${detail === undefined ? '' : `: ${detail}`}`
}

/** Which of the archives has a file. */
function prefixOf(pathname: Pathname, prefixes: ReadonlySet<string>): string {
  const prefix = /^(?:pg_tblspc\/[0-9]+\/|pg_wal\/)/.exec(pathname)?.[0] ?? ''
  return prefixes.has(prefix) ? prefix : ''
}

type Batches = ReturnType<typeof unpack>
type Batch = Extract<Awaited<ReturnType<Batches['next']>>, { done?: false }>['value']
type Event = Batch['events'][number]

/** What comes out of an archive, one thing after the other. */
class MemberEvents {
  readonly #batches: Batches
  #batch: Batch | undefined
  #index = 0
  #failure: unknown
  /** Of the batch's bytes. */
  #at = 0

  constructor(batches: Batches) {
    this.#batches = batches
  }

  /** Passes over what is left of the member before. */
  async nextMember(): Promise<(Event & { readonly type: 'member' })['member'] | undefined> {
    for (;;) {
      const event = await this.#next()
      if (event === undefined) return undefined
      if (event.type === 'member') return event.member
      if (event.type === 'bytes') this.#at += event.length
    }
  }

  /** The bytes of the member. */
  async *chunks(archive: string): AsyncGenerator<Buffer, void, undefined> {
    try {
      for (;;) {
        const event = await this.#next()
        if (event?.type !== 'bytes') return
        const { buffer, byteOffset } = this.#batch?.bytes ?? Buffer.alloc(0)
        const start = byteOffset + this.#at
        this.#at += event.length
        yield Buffer.from(buffer, start, event.length)
      }
    } catch (error) {
      if (!(error instanceof SourceReadError)) throw error
      const detail = error.detail === undefined ? '' : `: ${error.detail}`
      throw new SourceReadError(`archive "${archive}": ${error.message}${detail}`)
    }
  }

  async close(): Promise<void> {
    await this.#batches.return()
  }

  async #next(): Promise<Event | undefined> {
    if (this.#failure !== undefined) throw this.#failure
    while (this.#batch === undefined || this.#index === this.#batch.events.length) {
      const result = await this.#batches.next().catch((error: unknown) => {
        this.#failure = error
        throw error
      })
      if (result.done === true) return undefined
      this.#batch = result.value
      this.#index = 0
      this.#at = 0
    }
    return this.#batch.events[this.#index++]
  }
}
