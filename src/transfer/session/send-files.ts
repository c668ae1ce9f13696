import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import type { ClusterFiles, FileEvent, RequestedFile } from '../cluster-files/cluster-files.js'
import type { SentFileEvent } from '../commands/command-results.js'
import { throwIfBackupAborted } from './backup.js'
import type { FragmentRecorder } from './fragment-recorder.js'
import type { Membership } from './membership.js'
import type { PageVerification } from './page-verification.js'
import { refused } from '../commands/refused-error.js'

/** What SEND_FILE sends with. */
export interface SendOptions {
  readonly source: ClusterFiles
  readonly membership: Membership
  /** `undefined`: pages are not verified. */
  readonly pages: PageVerification | undefined
  readonly signal: AbortSignal
}

/**
 * Streams files: each is verified, taken from the bucket, hashed and counted piece by piece, then recorded.
 *
 * @throws {@link PbManifestError} when it is refused or fails
 */
export async function* sendFiles(
  files: readonly RequestedFile[],
  options: SendOptions,
): AsyncGenerator<SentFileEvent, void, undefined> {
  const { state } = options.membership.backup
  throwIfBackupAborted(options.membership.backup)
  // WAL is fetched when the backup has been stopped; anything else would come too late to be repaired by it.
  const isWalOnly = files.every(({ pathname }) => isWal(pathname))
  if (!isWalOnly && !state.beginSending()) {
    throw refused(`the backup has been stopped: only files in "pg_wal" can be sent`)
  }
  try {
    yield* streamFiles(files, options)
  } finally {
    if (!isWalOnly) state.endSending()
  }
}

function isWal(pathname: Pathname): boolean {
  return pathname.startsWith('pg_wal/')
}

async function* streamFiles(
  files: readonly RequestedFile[],
  options: SendOptions,
): AsyncGenerator<SentFileEvent, void, undefined> {
  let file: FileInTransit | undefined
  for await (const event of options.source.read(files, options.signal)) {
    switch (event.type) {
      case 'file':
        file = new FileInTransit(event, options)
        yield { type: 'file', pathname: event.pathname }
        break
      case 'bytes':
        if (file !== undefined) yield* file.pass(event.bytes)
        break
      case 'end':
        if (file !== undefined) yield* file.end()
        file = undefined
        break
      case 'vanished':
        yield event
        break
      default:
        event satisfies never
    }
  }
}

/** One file on its way. */
class FileInTransit {
  readonly #file: Extract<FileEvent, { type: 'file' }>
  readonly #options: SendOptions
  readonly #recorder: FragmentRecorder | undefined
  readonly #pages: PageVerification | undefined
  #sent = 0
  #throttledNs = 0n

  constructor(file: Extract<FileEvent, { type: 'file' }>, options: SendOptions) {
    this.#file = file
    this.#options = options
    this.#recorder = isWal(file.pathname) ? undefined : options.membership.recorder
    this.#recorder?.beginFile()
    this.#pages = options.pages?.begin(file.pathname) === true ? options.pages : undefined
  }

  async *pass(bytes: Buffer): AsyncGenerator<SentFileEvent, void, undefined> {
    const pages = this.#pages
    if (pages === undefined) {
      yield* this.#send(bytes)
      return
    }
    for (let at = 0; at < bytes.length;) {
      at += pages.fill(bytes.subarray(at))
      if (pages.isFull) yield* this.#send(await pages.drain())
    }
  }

  async *end(): AsyncGenerator<SentFileEvent, void, undefined> {
    if (this.#pages !== undefined) yield* this.#send(await this.#pages.finish())
    const { pathname, size, modified } = this.#file
    if (this.#sent !== size) {
      throw new PbManifestError(
        'IO',
        `file "${displayPathname(pathname)}" was announced with ${size} bytes, but ${this.#sent} came`,
      )
    }
    const checksum = await this.#recorder?.endFile({ pathname, size, modified })
    yield { type: 'end', size, modified, checksum, throttledMs: Number(this.#throttledNs / 1_000_000n) }
  }

  async *#send(bytes: Buffer): AsyncGenerator<SentFileEvent, void, undefined> {
    const { membership, signal } = this.#options
    const { state, bucket } = membership.backup
    const pieceBytes = bucket?.pieceBytes ?? bytes.length
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes)
      if (bucket !== undefined) this.#throttledNs += await bucket.take(piece.length, signal)
      throwIfBackupAborted(membership.backup)
      this.#recorder?.update(piece)
      this.#sent += piece.length
      state.addStreamed(piece.length)
      yield { type: 'bytes', bytes: piece }
    }
  }
}
