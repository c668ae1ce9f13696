import type { ByteChannel } from '../../source/tar/byte-channel.js'
import type { SharedRate, SharedRateBuffer } from '../../threads/shared-rate.js'
import type { Compression } from '../../files/compression/compression.js'
import type { Pathname } from '../../files/pathname.js'
import type { StoredStretch } from '../../files/tar/sparse-member.js'
import type { TarMemberKind } from '../../files/tar/tar-member.js'
import type { RealChecksumAlgorithm } from '../../manifest/checksum/checksum-algorithm.js'
import type { FileTableBuffers } from '../file-table/file-rows.js'
import type { ContentFindings } from '../content/page-tally.js'
import type { ContentRules } from '../content/decide-content-rules.js'
import type { EngineUse } from '../make-report.js'
import type { PathnameIndexBuffers } from '../file-table/pathname-index.js'
import { Claims } from '../../threads/claims.js'

/** An archive to be read. Plain data: it crosses threads. */
export interface ArchiveTask {
  /** Where it is; `undefined`: it is asked for, and comes through a {@link ByteChannel}. */
  readonly path: string | undefined
  /** Whether there need not be one. */
  readonly mayBeAbsent: boolean
  /** What stands before its members' names in the manifest. */
  readonly prefix: string
  /** `undefined`: by its first bytes. */
  readonly compression: Compression | undefined
}

/** What a thread compares members with. */
export interface ExpectedMembers {
  readonly table: FileTableBuffers
  readonly index: PathnameIndexBuffers
  readonly rows: number
  /** Rules of what to ignore, as they were given. */
  readonly ignore: readonly string[]
  /** Those that the manifest has; none when checksums are not to be compared. */
  readonly algorithms: readonly RealChecksumAlgorithm[]
  /** `undefined` when nothing but checksums is looked at. */
  readonly content: ExpectedContent | undefined
}

/** What of the members' content is looked at. */
export interface ExpectedContent {
  readonly rules: ContentRules
  readonly replayedWal: SharedArrayBuffer
}

/** What the content of a file has that is wrong, or worth to be counted. */
export interface MemberFindings {
  readonly row: number
  readonly findings: ContentFindings
}

/** What a thread is started with. */
export interface StartArchives {
  readonly tasks: readonly ArchiveTask[]
  readonly expected: ExpectedMembers
  readonly progress: ArchiveProgressBuffers
  /** `undefined`: no limit. */
  readonly rate: SharedRateBuffer | undefined
}

/** Counters that all threads share. */
interface ArchiveProgressBuffers {
  /** See `Claims`. */
  readonly claims: SharedArrayBuffer
  /** BigInt64: bytes of archives that were read. */
  readonly bytes: SharedArrayBuffer
}

/** Something that is wrong with an archive or a member of it. */
export type ArchiveFinding =
  /** Not in the manifest. */
  | {
      readonly type: 'extra'
      readonly name: Pathname
      readonly pathname: Pathname
      readonly kind: TarMemberKind
      /** Of a file. */
      readonly size?: number
    }
  | { readonly type: 'size'; readonly name: Pathname; readonly row: number; readonly size: number }
  | { readonly type: 'mismatch'; readonly row: number; readonly checksum: string }
  /** A second member of the same name. */
  | { readonly type: 'duplicate'; readonly row: number }
  | { readonly type: 'unsafe'; readonly name: Pathname }
  /** A link whose target is not in the backup. */
  | {
      readonly type: 'leads outside'
      readonly name: Pathname
      readonly kind: TarMemberKind
      readonly target: Pathname
    }
  /** No file, although the manifest has one, or nothing that a backup may have. */
  | {
      readonly type: 'not a file'
      readonly name: Pathname
      readonly pathname: Pathname
      readonly isListed: boolean
      /** What it is. */
      readonly detail: string
    }
  /** What comes behind cannot be read. The last of its archive. */
  | { readonly type: 'damaged'; readonly message: string; readonly detail: string | undefined }
  /** By the operating system. */
  | { readonly type: 'unreadable'; readonly message: string; readonly code?: string }
  /** An archive that may be absent is. */
  | { readonly type: 'not there'; readonly message: string }
  /** By what its bytes come from. */
  | { readonly type: 'not fetched'; readonly message: string; readonly detail: string | undefined }

/** A WAL segment that an archive has. */
export interface WalMember {
  /** Of the file: with `.partial` behind it, if it has that. */
  readonly name: string
  readonly size: number
  /** Where what is stored of it begins in the archive, before that was compressed. */
  readonly offset: number
  /** What of it is stored; `undefined`: all. */
  readonly stretches: readonly StoredStretch[] | undefined
}

/** What is known of an archive when it has been read. */
export interface ArchiveSummary {
  /** The rows that it has, each once. */
  readonly rows: Uint32Array
  readonly filesChecked: number
  readonly bytesChecked: number
  /** The bytes of small files that say what the cluster is, by their pathnames. */
  readonly smallFiles: ReadonlyMap<Pathname, Uint8Array>
  readonly walMembers: readonly WalMember[]
  /** Those of the directories that a server may need which it has. */
  readonly directories: readonly Pathname[]
  /** Pages whose checksum was checked. */
  readonly pages: number
  /** It is told when all archives are read: whether it counts depends on pg_control. */
  readonly content: readonly MemberFindings[]
  /** Whether more was not looked at, because there was so much. */
  readonly isContentCut: boolean
  /** What computed checksums. */
  readonly engines: readonly EngineUse[]
}

/** What a thread sends. */
export type ArchiveMessage =
  /** Begins with an archive that is no file here; its bytes are to be sent. */
  | { readonly type: 'open'; readonly task: number; readonly channel: ByteChannel }
  | { readonly type: 'finding'; readonly task: number; readonly finding: ArchiveFinding }
  | { readonly type: 'archive end'; readonly task: number; readonly summary: ArchiveSummary }

/** Which archives are taken and how much of them was read, by all threads. */
export class ArchiveProgress {
  readonly buffers: ArchiveProgressBuffers
  readonly claims: Claims
  readonly #bytes: BigInt64Array
  readonly #rate: SharedRate | undefined

  constructor(buffers: ArchiveProgressBuffers = allocate(), rate?: SharedRate) {
    this.#rate = rate
    this.buffers = buffers
    this.claims = new Claims(buffers.claims)
    this.#bytes = new BigInt64Array(buffers.bytes)
  }

  /** Bytes of archives, as they are stored, that were read so far. */
  get bytes(): number {
    return Number(Atomics.load(this.#bytes, 0))
  }

  /**
   * Counts what passes.
   *
   * @throws {@link Abandoned}
   */
  *follow(chunks: Iterable<Buffer>): Generator<Buffer, void, undefined> {
    for (const chunk of chunks) {
      this.claims.throwIfAbandoned()
      Atomics.add(this.#bytes, 0, BigInt(chunk.length))
      this.#rate?.takeSleeping(chunk.length, () => this.claims.throwIfAbandoned())
      yield chunk
    }
  }
}

function allocate(): ArchiveProgressBuffers {
  return { claims: new Claims().buffer, bytes: new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT) }
}
