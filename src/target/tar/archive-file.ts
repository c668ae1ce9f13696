import { type FileHandle, open } from 'node:fs/promises'
import { ioError } from '../../files/system-error.js'
import {
  bytesOfMember,
  formatTarHeader,
  TAR_BLOCK_BYTES,
  TAR_TRAILER,
  type MemberHeader,
} from '../../files/tar/tar-header.js'
import type { ArchiveEnds } from './tar-place.js'

/** A place for members whose bytes are not known yet. */
export interface Reservation {
  readonly position: number
  /** A multiple of a block. */
  readonly bytes: number
}

/** An archive of a set, as who leads the backup has it: it is open from its beginning to its end. */
export class ArchiveFile {
  readonly path: string
  readonly #handle: FileHandle
  readonly #ends: ArchiveEnds
  readonly #index: number

  private constructor(path: string, handle: FileHandle, ends: ArchiveEnds, index: number) {
    this.path = path
    this.#handle = handle
    this.#ends = ends
    this.#index = index
  }

  /** @throws {@link PbManifestError} `IO`, as do the others */
  static async create(path: string, mode: number, ends: ArchiveEnds, index: number): Promise<ArchiveFile> {
    let handle: FileHandle | undefined
    try {
      handle = await open(path, 'wx', mode)
      await handle.chmod(mode)
      return new ArchiveFile(path, handle, ends, index)
    } catch (error) {
      await handle?.close()
      throw ioError(`could not create file "${path}"`, error)
    }
  }

  /** Adds a whole member. */
  async add(member: Omit<MemberHeader, 'size'>, content: Uint8Array = Buffer.alloc(0)): Promise<void> {
    const { length: size } = content
    await this.write(formatMember(member, content), this.#ends.claim(this.#index, bytesOfMember(size)))
  }

  /** Adds a member whose bytes come later. Those that do not come are zeros. @returns where they go */
  async begin(member: Omit<MemberHeader, 'size'>, size: number): Promise<number> {
    const header = formatTarHeader({ ...member, size })
    const position = this.#ends.claim(this.#index, bytesOfMember(size))
    await this.write(header, position)
    return position + header.length
  }

  /** @param bytes - of a member, at most */
  reserve(bytes: number): Reservation {
    const length = bytesOfMember(bytes)
    return { position: this.#ends.claim(this.#index, length), bytes: length }
  }

  /**
   * Puts a member where it was reserved for. What it does not need is filled with a directory's header, over and over, which says
   * nothing new to whoever reads the archive. A member that is larger after all comes at the end.
   */
  async fill(
    { position, bytes }: Reservation,
    member: Omit<MemberHeader, 'size'>,
    content: Uint8Array,
    filler: Omit<MemberHeader, 'size'>,
  ): Promise<void> {
    const used = bytesOfMember(content.length)
    const isLarger = used > bytes
    if (isLarger) await this.add(member, content)
    else await this.write(formatMember(member, content), position)
    const header = formatTarHeader({ ...filler, size: 0 })
    for (let at = isLarger ? 0 : used; at < bytes; at += TAR_BLOCK_BYTES)
      await this.write(header, position + at)
  }

  /** All members are there. */
  async end({ sync }: { readonly sync: boolean }): Promise<void> {
    await this.write(TAR_TRAILER, this.#ends.end(this.#index))
    if (sync) await this.sync()
    try {
      await this.#handle.close()
    } catch (error) {
      throw ioError(`could not close file "${this.path}"`, error)
    }
  }

  async sync(): Promise<void> {
    try {
      await this.#handle.sync()
    } catch (error) {
      throw ioError(`could not fsync file "${this.path}"`, error)
    }
  }

  /** Leaves it as it is. Never throws. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => {})
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await this.#handle.write(bytes, at, bytes.length - at, position + at)
        at += bytesWritten
      }
    } catch (error) {
      throw ioError(`could not write file "${this.path}"`, error)
    }
  }
}

/** A member with its header, and zeros up to the next block. */
function formatMember(member: Omit<MemberHeader, 'size'>, content: Uint8Array): Buffer {
  const bytes = Buffer.alloc(bytesOfMember(content.length))
  formatTarHeader({ ...member, size: content.length }).copy(bytes)
  bytes.set(content, TAR_BLOCK_BYTES)
  return bytes
}
