import type { SharedRateBuffer } from '../../threads/shared-rate.js'
import type { Pathname } from '../../files/pathname.js'
import type { Compression } from '../../files/compression/compression.js'
import type { TarMemberKind } from '../../files/tar/tar-member.js'
import type { ByteChannel } from './byte-channel.js'

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
export type UnpackEvent =
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
