import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeNewFile } from '../../files/durable-file.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { ownPathname, type SafePathname } from '../../files/safe-pathname.js'
import { UNFINISHED_MANIFEST } from '../../manifest/contents/made-by-backup.js'
import type { WalFileName } from '../../postgres/wal-segment.js'
import type { StoreAddress } from '../../source/store/store-address.js'
import { StoreClient } from '../../source/store/store-client.js'
import type { StoreOptions } from '../../source/store/store-settings.js'
import type { BackupTarget } from '../backup-target.js'
import type { FileSink, SegmentFile, WalFiles } from '../file-sink.js'
import { SETTINGS_FILE, SIGNAL_FILE } from '../recovery-settings.js'
import type { ClusterTablespace, TargetTablespace } from '../target-directory.js'
import type { ObjectWriter } from './object-writer.js'
import { ObjectWriters } from './object-writers.js'
import { StoreClaim } from './store-claim.js'
import { type StorePlace, StoreSink } from './store-sink.js'
import type { StoredChecksum } from './put-object.js'

export interface StoreTargetOptions {
  readonly address: StoreAddress
  readonly store: StoreOptions
  readonly tablespaces: readonly ClusterTablespace[]
  /** A directory of the caller's, for what is there before the manifest is. */
  readonly scratch: string
  /** What the store keeps with each object: best what the manifest has. */
  readonly checksum: StoredChecksum
  /** What `-R` adds to postgresql.auto.conf, with an empty standby.signal beside it. */
  readonly recoverySettings: string | undefined
  readonly signal: AbortSignal
}

/** Connections of the leader, but for files and WAL. */
const CONNECTIONS = 16

/**
 * A backup in plain format in an object store, each file an object. A store has no links: tablespaces are below `pg_tblspc`, and
 * tablespace_map says where they were. Empty directories are not there.
 */
export class StoreTarget implements BackupTarget {
  readonly path: string
  readonly tablespaces: readonly TargetTablespace[]
  readonly files: StorePlace
  readonly wal: StoredWalFiles
  readonly hasTablespaceMap = true
  readonly #options: StoreTargetOptions
  readonly #client: StoreClient
  readonly #claim: StoreClaim
  /** For what the leader makes. */
  readonly #writers: ObjectWriters

  private constructor(options: StoreTargetOptions, client: StoreClient, claim: StoreClaim) {
    const { address, store, scratch, tablespaces, recoverySettings: settings, signal } = options
    this.path = scratch
    this.tablespaces = tablespaces.flatMap(({ oid, location }) =>
      oid === undefined || !location.startsWith('/')
        ? []
        : [{ oid, location: `${address.shown}/pg_tblspc/${oid}` }],
    )
    this.files = {
      kind: 'store',
      address,
      store,
      checks: claim.checks,
      recoverySettings: settings === undefined ? undefined : Buffer.from(settings),
      settingsWritten: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
    }
    this.wal = new StoredWalFiles(new ObjectWriters(this.files, signal), address)
    this.#options = options
    this.#client = client
    this.#claim = claim
    this.#writers = new ObjectWriters(this.files, signal)
  }

  /**
   * Claims the place. When it throws, nothing is left.
   *
   * @throws {@link PbManifestError} `USAGE`, or `IO`
   */
  static async prepare(options: StoreTargetOptions): Promise<StoreTarget> {
    const { address, store, checksum, signal } = options
    const client = new StoreClient(address, store, CONNECTIONS)
    try {
      return new StoreTarget(options, client, await StoreClaim.make(client, checksum, signal))
    } catch (error) {
      client.close()
      throw error
    }
  }

  shownPath(pathname: Pathname): string {
    return `${this.#options.address.shown}/${displayPathname(pathname)}`
  }

  /** The mark was written when the place was claimed: it says whose it is. */
  async mark(): Promise<void> {}

  /** Directories are what the names of objects say. */
  async begin(): Promise<void> {}

  openSink(signal: AbortSignal): FileSink {
    return new StoreSink(this.files, signal)
  }

  async addFile(pathname: SafePathname, content: Buffer): Promise<void> {
    await this.#writers.writeWhole(pathname, content)
  }

  async addManifest(chunks: AsyncIterable<Buffer>): Promise<number> {
    return await writeNewFile(this.#manifestPath, chunks, { mode: 0o600, sync: false })
  }

  async complete(): Promise<void> {
    const { recoverySettings: settings, signal } = this.#options
    if (settings !== undefined) {
      const isWritten = Atomics.load(new Int32Array(this.files.settingsWritten), 0) === 1
      if (!isWritten) await this.addFile(ownPathname(SETTINGS_FILE), Buffer.from(settings))
      await this.addFile(ownPathname(SIGNAL_FILE), Buffer.alloc(0))
    }
    await this.wal.finish()
    await this.#writers.flush()
    // Of uploads that the store began twice, because its answer was lost, one is left.
    await this.#claim.abortUploads(signal).catch(() => {})
    await this.#claim.release(signal)
  }

  async publish(): Promise<string> {
    const { size } = await stat(this.#manifestPath)
    const writer = await this.#writers.begin('backup_manifest', size, true)
    for await (const chunk of createReadStream(this.#manifestPath) as AsyncIterable<Buffer>) {
      await writer.write(chunk)
    }
    writer.end()
    await this.#writers.finish()
    this.#client.close()
    return this.shownPath('backup_manifest')
  }

  async abandon(): Promise<void> {
    await Promise.all([this.#writers.abandon(), this.wal.abandon()])
  }

  async remove(): Promise<readonly string[]> {
    try {
      return await this.#claim.remove()
    } finally {
      this.#client.close()
    }
  }

  get #manifestPath(): string {
    return join(this.path, UNFINISHED_MANIFEST)
  }
}

/** WAL in the pg_wal of a backup in an object store: a segment is an object when it has come to its end. */
class StoredWalFiles implements WalFiles {
  readonly #writers: ObjectWriters
  readonly #address: StoreAddress

  constructor(writers: ObjectWriters, address: StoreAddress) {
    this.#writers = writers
    this.#address = address
  }

  async prepare(): Promise<void> {}

  async createSegment(name: WalFileName, size: number): Promise<SegmentFile> {
    const pathname = `pg_wal/${name}`
    const writer = await this.#writers.begin(pathname, size)
    return new StoredSegment(`${this.#address.shown}/${pathname}`, writer)
  }

  async writeWhole(name: WalFileName, content: Buffer): Promise<void> {
    await this.#writers.writeWhole(`pg_wal/${name}`, content)
    await this.markDone(name)
  }

  async markDone(name: WalFileName): Promise<void> {
    await this.#writers.writeWhole(`pg_wal/archive_status/${name}.done`, Buffer.alloc(0))
  }

  async finish(): Promise<void> {
    await this.#writers.finish()
  }

  async abandon(): Promise<void> {
    await this.#writers.abandon()
  }
}

class StoredSegment implements SegmentFile {
  readonly path: string
  readonly #writer: ObjectWriter

  constructor(path: string, writer: ObjectWriter) {
    this.path = path
    this.#writer = writer
  }

  async write(bytes: Buffer): Promise<void> {
    await this.#writer.write(bytes)
  }

  /** What a store has of an object that has not come to its end, nobody can read. */
  async sync(): Promise<void> {}

  async close(): Promise<void> {
    while (this.#writer.missing > 0) {
      await this.#writer.write(ZEROS.subarray(0, this.#writer.missing))
    }
    this.#writer.end()
  }
}

const ZEROS = Buffer.alloc(64 * 1024)
