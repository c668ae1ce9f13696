import type { TransferListItem } from 'node:worker_threads'
import { DamagedArchiveError } from '../../files/damaged-archive-error.js'
import { NotARegularFileError, openRegularFile, readOpenedFile } from '../../files/open-regular-file.js'
import { decodePathname, type Pathname } from '../../files/pathname.js'
import { describeSystemError } from '../../files/system-error.js'
import { shortestName, type TarMember, type TarMemberKind } from '../../files/tar/tar-member.js'
import { Abandoned, Claims } from '../../threads/claims.js'
import { SharedRate, type SharedRateBuffer } from '../../threads/shared-rate.js'
import { SharedCount } from '../../threads/wake-up.js'
import { SourceReadError } from '../backup-source.js'
import { ArchiveNotThereError } from './archive-place.js'
import { type ByteChannel, receiveBytes } from './byte-channel.js'
import { type MemberReader, readDecompressed, readMembers } from './read-members.js'
import type { Compression } from '../../files/compression/compression.js'

const BUFFER_BYTES = 256 * 1024

/** A batch is sent when it has so much. */
const BATCH_BYTES = 256 * 1024
const BATCH_EVENTS = 1000

/** So many of them may be on their way. */
const MAX_UNDERWAY = 8

/** How often a thread that waits looks whether anybody still wants to know, in milliseconds. */
const INTERVAL_MS = 50

type Post = (message: UnpackMessage, transferList?: TransferListItem[]) => void

/** Reads an archive from its start to its end, and sends what is wanted of it, no faster than it is taken. */
export async function unpackArchive(start: StartUnpacking, post: Post): Promise<void> {
  const claims = new Claims(start.claims)
  const batches = new Batches(start, claims, post)
  try {
    const chunks = openArchive(start, claims, post)
    if (start.wanted === undefined) {
      for await (const chunk of readDecompressed(chunks, start.compression)) batches.add(chunk)
    } else await readMembers(chunks, start.compression, new MemberSender(start.wanted, batches))
    batches.flush()
  } catch (error) {
    if (error instanceof Abandoned) return post({ type: 'done' })
    const failure = describeFailure(error)
    batches.flush()
    post({ type: 'failure', ...failure })
  }
  post({ type: 'done' })
}

function* openArchive(
  { path, rate: rateBuffer }: StartUnpacking,
  claims: Claims,
  post: Post,
): Generator<Buffer, void, undefined> {
  const rate = rateBuffer && new SharedRate(rateBuffer)
  const request = (channel: ByteChannel): void => post({ type: 'open', channel }, [channel.port])
  const size = Math.min(BUFFER_BYTES, rate?.pieceBytes ?? BUFFER_BYTES)
  const chunks =
    path === undefined
      ? receiveBytes(request, claims)
      : readOpenedFile(openRegularFile(path), Buffer.allocUnsafeSlow(size))
  for (const chunk of chunks) {
    claims.throwIfAbandoned()
    rate?.takeSleeping(chunk.length, () => claims.throwIfAbandoned())
    yield chunk
  }
}

function describeFailure(error: unknown): Omit<UnpackMessage & { readonly type: 'failure' }, 'type'> {
  if (error instanceof SourceReadError) {
    const { message, detail } = error
    return { message, detail, isNotThere: error instanceof ArchiveNotThereError }
  }
  if (error instanceof DamagedArchiveError) {
    return { message: error.message, detail: error.detail, isNotThere: false }
  }
  if (error instanceof NotARegularFileError) {
    return { message: 'Not a regular file', detail: undefined, isNotThere: false }
  }
  const description = describeSystemError(error)
  if (description === undefined) throw error
  return { message: description.message, detail: undefined, isNotThere: false }
}

/** Sends members that are wanted. */
class MemberSender implements MemberReader {
  /** Of no member it is known here how long it should be: whoever takes them knows. */
  expectedBytes = 0
  readonly #wanted: WantedMembers
  readonly #pattern: RegExp | undefined
  readonly #batches: Batches
  #isSent = false

  constructor(wanted: WantedMembers, batches: Batches) {
    this.#wanted = wanted
    this.#pattern = wanted.pattern === undefined ? undefined : new RegExp(wanted.pattern, 's')
    this.#batches = batches
  }

  member({ name: bytes, kind, size, modified }: TarMember): void {
    const pathname = this.#wanted.prefix + shortestName(decodePathname(bytes))
    this.#isSent = this.#isWanted(pathname)
    this.expectedBytes += this.#isSent ? size : 0
    if (this.#isSent) this.#batches.event({ type: 'member', member: { pathname, kind, size, modified } })
  }

  bytes(bytes: Buffer): void {
    if (this.#isSent) this.#batches.add(bytes)
  }

  fileEnd(): void {
    if (this.#isSent) this.#batches.event({ type: 'end' })
  }

  #isWanted(pathname: string): boolean {
    const { names } = this.#wanted
    if (names === undefined || names.has(pathname)) return true
    return this.#pattern?.test(pathname) === true
  }
}

/** Gathers what is sent, so that small files do not cost a message each. */
class Batches {
  readonly #claims: Claims
  readonly #post: Post
  readonly #taken: SharedCount
  readonly #firstTaken: number
  #sent = 0
  #events: UnpackEvent[] = []
  #bytes = new Uint8Array(BATCH_BYTES)
  #length = 0

  constructor({ taken }: StartUnpacking, claims: Claims, post: Post) {
    this.#claims = claims
    this.#post = post
    this.#taken = new SharedCount(new Int32Array(taken))
    this.#firstTaken = this.#taken.value
  }

  event(event: UnpackEvent): void {
    this.#events.push(event)
    if (this.#events.length >= BATCH_EVENTS) this.flush()
  }

  /** The bytes are copied. */
  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + BATCH_BYTES - this.#length)
      this.#bytes.set(part, this.#length)
      this.#length += part.length
      at += part.length
      this.#events.push({ type: 'bytes', length: part.length })
      if (this.#length === BATCH_BYTES) this.flush()
    }
  }

  flush(): void {
    if (this.#events.length === 0) return
    for (let taken = this.#taken.value; this.#sent - (taken - this.#firstTaken) >= MAX_UNDERWAY;) {
      this.#claims.throwIfAbandoned()
      this.#taken.sleepWhile(taken, INTERVAL_MS)
      taken = this.#taken.value
    }
    const isFull = this.#length > BATCH_BYTES / 2
    const bytes = isFull ? this.#bytes.subarray(0, this.#length) : this.#bytes.slice(0, this.#length)
    if (isFull) this.#bytes = new Uint8Array(BATCH_BYTES)
    this.#post({ type: 'batch', events: this.#events, bytes }, [bytes.buffer])
    this.#sent++
    this.#events = []
    this.#length = 0
  }
}

/** What a thread that unpacks an archive is started with. Plain data: it crosses threads. */
export interface StartUnpacking {
  /** Where the archive is; `undefined`: it is asked for, and comes through a {@link ByteChannel}. */
  readonly path: string | undefined
  /** `undefined`: by its first bytes. */
  readonly compression: Compression | undefined
  /** Of which members the bytes are wanted: those of these names, and of all that match the pattern; `undefined`: no members, but what the archive is before it was compressed. */
  readonly wanted: WantedMembers | undefined
  /** See `Claims`: whether anybody still wants to know. */
  readonly claims: SharedArrayBuffer
  /** Int32: counts the batches that were taken; see `SharedCount`. */
  readonly taken: SharedArrayBuffer
  readonly rate: SharedRateBuffer | undefined
}

/** Names of members, as the manifest has them. */
export interface WantedMembers {
  /** What stands before them there, and not in the archive. */
  readonly prefix: string
  /** `undefined`: every file. */
  readonly names: ReadonlySet<Pathname> | undefined
  /** The source of a regular expression. */
  readonly pattern: string | undefined
}

/** What a member is, for those who take its bytes. */
interface UnpackedMember {
  /** As the manifest would have it. */
  readonly pathname: Pathname
  readonly kind: TarMemberKind
  readonly size: number
  /** In seconds since 1970. */
  readonly modified: number
}

/** One thing that comes out of an archive, in its order. */
type UnpackEvent =
  | { readonly type: 'member'; readonly member: UnpackedMember }
  /** So many of the batch's bytes are the member's next ones, or the archive's. */
  | { readonly type: 'bytes'; readonly length: number }
  /** The member is whole. */
  | { readonly type: 'end' }

/** What a thread that unpacks sends. */
export type UnpackMessage =
  | { readonly type: 'open'; readonly channel: ByteChannel }
  | { readonly type: 'batch'; readonly events: readonly UnpackEvent[]; readonly bytes: Uint8Array }
  /** Nothing more comes, because of this: of what is behind, nothing is known. */
  | {
      readonly type: 'failure'
      readonly message: string
      readonly detail: string | undefined
      readonly isNotThere: boolean
    }
  | { readonly type: 'done' }
