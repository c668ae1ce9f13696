import type { Pathname } from '../files/pathname.js'
import type { SafePathname } from '../files/safe-pathname.js'
import type { SyncMethod } from '../files/durable-file.js'
import { DirectorySink } from './directory-sink.js'
import type { AnnouncedFile, FileSink, TargetFile, WalFiles } from './file-sink.js'
import { type StorePlace, StoreSink } from './store/store-sink.js'
import { type StreamPlace, StreamSink } from './tar/stream-place.js'
import type { TarPlace } from './tar/tar-place.js'
import { TarSink } from './tar/tar-sink.js'
import type { TargetTablespace } from './target-directory.js'

/** Where the files of a backup go, as each worker needs it. Plain data and shared memory: it crosses threads. */
export type FilePlace =
  | { readonly kind: 'directory'; readonly directory: string; readonly sync: boolean }
  | TarPlace
  | StreamPlace
  | StorePlace

/** Opens it for one worker. */
export function openFileSink(place: FilePlace, signal: AbortSignal): FileSink {
  switch (place.kind) {
    case 'directory':
      return new DirectorySink(place.directory, place)
    case 'tar':
      return new TarSink(place)
    case 'tar-stream':
      return new StreamSink(place, signal)
    case 'store':
      return new StoreSink(place, signal)
    default:
      return place satisfies never
  }
}

/** A directory that a backup is to have. */
export type TargetEntry = TargetFile & Pick<AnnouncedFile, 'modified'>

/** What is known of a backup before its files are copied. */
export interface TargetContents {
  /** The outer ones first. Those that the target has made for itself may be among them. */
  readonly directories: readonly TargetEntry[]
  /** How large backup_label will be, and tablespace_map; rather too large than too small. */
  readonly backupLabelBytes: number
  readonly tablespaceMapBytes: number
}

/**
 * What a backup is written to, from its beginning to its end. Files come by the workers, each through a {@link FileSink}; what is
 * the leader's goes through here.
 *
 * Order of calls: `mark`, `begin`, `addFile`, `complete`, `publish`; or `remove`, when nobody writes any more.
 */
export interface BackupTarget {
  /** The directory that has the manifest, where that is kept in one, and until then the fragments. Links are resolved. */
  readonly path: string
  /** Those that have a directory of their own here. */
  readonly tablespaces: readonly TargetTablespace[]
  readonly files: FilePlace
  readonly wal: WalFiles
  /** Where this file goes, for people: the path of an archive, where it goes into one; an address. */
  shownPath(pathname: Pathname): string
  /** Whether tablespaces are linked when the backup is restored, by a file that says where they were. */
  readonly hasTablespaceMap: boolean
  /** Says whose beginning it holds, for whoever finds it. */
  mark(backupId: string): Promise<void>
  /** Makes what files need. */
  begin(contents: TargetContents): Promise<void>
  /** For the files that the leader copies. */
  openSink(signal: AbortSignal): FileSink
  /** Adds a file that the leader has made. */
  addFile(pathname: SafePathname, content: Buffer): Promise<void>
  /** @returns how many bytes it has. It gets its name when the backup is complete. */
  addManifest(chunks: AsyncIterable<Buffer>): Promise<number>
  /** All is written: makes it durable. Only the manifest lacks its name after that. */
  complete(options: { readonly sync: SyncMethod | undefined }): Promise<void>
  /** How many bytes each archive of files has, by its name, when all is written; `undefined`: none are kept. */
  readonly archiveSizes?: ReadonlyMap<string, number> | undefined
  /** Gives the manifest its name: from now on the backup is complete. @returns its path */
  publish(options: { readonly sync: boolean }): Promise<string>
  /** Leaves everything as it is, after a failure. Never throws. */
  abandon(): Promise<void>
  /**
   * Makes everything as it was before. Nobody may write any more.
   *
   * @returns what could not be removed, a line each
   */
  remove(): Promise<readonly string[]>
}
