import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { closeSync, openSync, writeSync } from 'node:fs'
import { ioError } from '../../files/system-error.js'
import { bytesOfMember, formatTarHeader, TAR_BLOCK_BYTES } from '../../files/tar/tar-header.js'
import type { AnnouncedFile, FileSink, TargetFile } from '../file-sink.js'
import { SETTINGS_FILE } from '../recovery-settings.js'
import { ArchiveEnds, MemberPlaces, POSTGRES_OWNER, type TarPlace } from './tar-place.js'

/** A part of an archive that nobody else writes to. */
interface TakenPlace {
  readonly pathname: Pathname
  readonly archive: number
  readonly start: number
  /** Of the member's content, in bytes. */
  readonly size: number
}

/** A header goes with its bytes in one write, up to so many. */
const SMALL_BYTES = 64 * 1024

interface OpenMember extends TakenPlace {
  /** Of what is not written yet. */
  position: number
  /** Until it is written. */
  header: Buffer | undefined
  readonly addition: Uint8Array | undefined
}

/**
 * Members of archives, each at its place: workers write beside each other into the same archive. What is between the end of a member
 * and the next block is never written, and reads as zeros.
 *
 * Writing is synchronous, as into a directory.
 */
export class TarSink implements FileSink {
  readonly needsSizes = true
  readonly #places: MemberPlaces
  readonly #ends: ArchiveEnds
  readonly #recoverySettings: Uint8Array | undefined
  readonly #descriptors = new Map<number, number>()
  #open: OpenMember | undefined
  /** Of a member that was taken back: nothing else can have its place. */
  #retracted: TakenPlace | undefined

  constructor(place: TarPlace) {
    this.#places = new MemberPlaces(place)
    this.#ends = new ArchiveEnds(place.memory)
    this.#recoverySettings = place.recoverySettings
  }

  begin({ pathname, mode }: TargetFile, announced: AnnouncedFile | undefined): void {
    if (announced === undefined) throw new Error('the size of a member is not known')
    const { archive, name } = this.#places.of(pathname)
    this.#ends.notes.note(pathname)
    const addition = pathname === SETTINGS_FILE ? this.#recoverySettings : undefined
    const size = announced.size + (addition?.length ?? 0)
    const { modified } = announced
    const header = formatTarHeader({ name, kind: 'file', size, mode, modified, owner: POSTGRES_OWNER })
    const start = this.#takeBackPlace(pathname, size) ?? this.#ends.claim(archive, bytesOfMember(size))
    this.#open = { pathname, archive, start, size, position: start, header, addition }
  }

  retract(): void {
    this.#retracted = this.#requireOpen()
    this.#open = undefined
  }

  /** Where the member was before it was taken back; `undefined`: none was. */
  #takeBackPlace(pathname: Pathname, size: number): number | undefined {
    const retracted = this.#retracted
    if (retracted === undefined) return undefined
    if (retracted.pathname !== pathname || retracted.size !== size) throw lostPlace(retracted)
    this.#retracted = undefined
    return retracted.start
  }

  write(bytes: Uint8Array): void {
    const open = this.#requireOpen()
    const { header } = open
    open.header = undefined
    if (header === undefined) return this.#append(open, bytes)
    if (bytes.length <= SMALL_BYTES)
      return this.#append(open, Buffer.concat([header, bytes], TAR_BLOCK_BYTES + bytes.length))
    this.#append(open, header)
    this.#append(open, bytes)
  }

  end(): void {
    const open = this.#requireOpen()
    if (open.addition !== undefined) this.write(open.addition)
    if (open.header !== undefined) this.#append(open, open.header)
    this.#open = undefined
  }

  abandon(): void {
    this.#open = undefined
    for (const descriptor of this.#descriptors.values()) {
      try {
        closeSync(descriptor)
      } catch {
        // There is an error on its way already, and the archive is to be removed.
      }
    }
    this.#descriptors.clear()
  }

  /** What makes an archive durable does so for all who have written into it. */
  finish(): Promise<void> {
    if (this.#retracted !== undefined) throw lostPlace(this.#retracted)
    for (const [archive, descriptor] of this.#descriptors) {
      try {
        closeSync(descriptor)
      } catch (error) {
        throw ioError(`could not close file "${this.#places.pathOf(archive)}"`, error)
      }
    }
    this.#descriptors.clear()
    return Promise.resolve()
  }

  #append(open: OpenMember, bytes: Uint8Array): void {
    const descriptor = this.#descriptorOf(open.archive)
    try {
      for (let at = 0; at < bytes.length;) {
        const written = writeSync(descriptor, bytes, at, bytes.length - at, open.position)
        at += written
        open.position += written
      }
    } catch (error) {
      throw ioError(`could not write file "${this.#places.pathOf(open.archive)}"`, error)
    }
  }

  #descriptorOf(archive: number): number {
    const found = this.#descriptors.get(archive)
    if (found !== undefined) return found
    const path = this.#places.pathOf(archive)
    try {
      // Whoever leads has made it.
      const descriptor = openSync(path, 'r+')
      this.#descriptors.set(archive, descriptor)
      return descriptor
    } catch (error) {
      throw ioError(`could not open file "${path}"`, error)
    }
  }

  #requireOpen(): OpenMember {
    if (this.#open === undefined) throw new Error('no member is open')
    return this.#open
  }
}

/** There can be no gap in an archive, and other members stand behind this one already. */
function lostPlace({ pathname }: TakenPlace): PbManifestError {
  return new PbManifestError(
    'SERVER',
    `file "${displayPathname(pathname)}" has changed its size, or is gone, since the connection was lost over which it came`,
    {
      hint: 'Its place in the archive was taken already. Take the backup again, or in plain format, which can do without.',
    },
  )
}
