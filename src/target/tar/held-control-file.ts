import { CONTROL_FILE } from '../../postgres/data-directory.js'
import type { MemberHeader } from '../../files/tar/tar-header.js'
import type { AnnouncedFile, FileSink, TargetFile } from '../file-sink.js'
import { POSTGRES_OWNER } from './tar-place.js'

/** A file that waits for its place. */
export interface HeldFile {
  readonly member: Omit<MemberHeader, 'size'>
  readonly content: Buffer
}

/** Hands all files on but pg_control, which is read before the backup ends, and has its place after what is known only then. */
export class HeldControlFile implements FileSink {
  readonly needsSizes = true
  readonly #sink: FileSink
  #held: { readonly member: HeldFile['member']; readonly pieces: Buffer[] } | undefined
  #isOpen = false

  constructor(sink: FileSink) {
    this.#sink = sink
  }

  begin(file: TargetFile, announced: AnnouncedFile | undefined): void | Promise<void> {
    const { pathname: name, mode } = file
    if (name !== CONTROL_FILE) return this.#sink.begin(file, announced)
    const member = {
      name,
      kind: 'file',
      mode,
      modified: announced?.modified ?? 0,
      owner: POSTGRES_OWNER,
    } as const
    this.#held = { member, pieces: [] }
    this.#isOpen = true
  }

  write(bytes: Buffer): void | Promise<void> {
    if (!this.#isOpen) return this.#sink.write(bytes)
    this.#held?.pieces.push(Buffer.from(bytes))
  }

  end(): void | Promise<void> {
    if (!this.#isOpen) return this.#sink.end()
    this.#isOpen = false
  }

  retract(): void {
    if (!this.#isOpen) return this.#sink.retract()
    this.#isOpen = false
    this.#held = undefined
  }

  abandon(): void {
    this.#sink.abandon()
  }

  async finish(signal: AbortSignal): Promise<void> {
    await this.#sink.finish(signal)
  }

  /** Hands it out, when it has come. */
  take(): HeldFile | undefined {
    return this.#held && { member: this.#held.member, content: Buffer.concat(this.#held.pieces) }
  }
}
