import type { Compression } from '../../files/compression/compression.js'
import type { Pathname } from '../../files/pathname.js'
import type { MemberHeader } from '../../files/tar/tar-header.js'
import type { WalFileName } from '../../postgres/wal-segment.js'
import type { TargetEntry } from '../backup-target.js'
import type { ClusterTablespace } from '../target-directory.js'
import type { WalFiles } from '../file-sink.js'
import { type MemberPlaces, POSTGRES_OWNER, type TargetArchive } from './tar-place.js'

/** What every backup in tar format is told. */
export interface TarSetOptions {
  readonly tablespaces: readonly ClusterTablespace[]
  /** Of the files that are made here, and of the archives. */
  readonly fileMode: number
  /** Whether they become durable. */
  readonly sync: boolean
  /** Whether WAL has an archive of its own. */
  readonly streamsWal: boolean
  /** What `-R` adds to postgresql.auto.conf, with an empty standby.signal beside it. */
  readonly recoverySettings: string | undefined
}

const suffixes: Readonly<Record<Compression, string>> = { none: '', gzip: '.gz', lz4: '.lz4', zstd: '.zst' }

/** What an archive is called, as pg_basebackup calls it. */
export function archiveName(stem: string | number, compression: Compression): string {
  return `${stem}.tar${suffixes[compression]}`
}

/** The archives of a backup, that of the data directory last. */
export function archivesOf(
  tablespaces: readonly ClusterTablespace[],
  compression: Compression,
): readonly TargetArchive[] {
  return [
    ...oidsOf(tablespaces).map((oid) => ({
      name: archiveName(oid, compression),
      prefix: `pg_tblspc/${oid}/`,
    })),
    { name: archiveName('base', compression), prefix: '' },
  ]
}

export function oidsOf(tablespaces: readonly ClusterTablespace[]): readonly number[] {
  return tablespaces.flatMap(({ oid }) => (oid === undefined ? [] : [oid]))
}

/** A directory as a member of its archive; none of what an archive has no member for. */
export function directoryMember(
  { pathname, mode, modified }: TargetEntry,
  places: MemberPlaces,
): { readonly archive: number; readonly member: Omit<MemberHeader, 'size'> } | undefined {
  // In-place tablespaces have archives of their own, and links a file that says where they lead.
  if (/^pg_tblspc\/[^/]+$/.test(pathname)) return undefined
  const { archive, name } = places.of(pathname)
  // As the server has them. @see src/backend/backup/basebackup.c (`sendDir`)
  const named = name.startsWith('pg_wal/') ? `./${name}` : name
  return { archive, member: { name: named, kind: 'directory', mode, modified, owner: POSTGRES_OWNER } }
}

/** A file that is made here, now. */
export function madeHere(name: Pathname, mode: number): Omit<MemberHeader, 'size'> {
  return { name, kind: 'file', mode, modified: Math.floor(Date.now() / 1000), owner: POSTGRES_OWNER }
}

/** WAL that is fetched comes as any file does, and only what says that it is archived is made here. */
export function fetchedWal(add: (name: Pathname) => Promise<void>): WalFiles {
  const markDone = (name: WalFileName): Promise<void> => add(`pg_wal/archive_status/${name}.done`)
  return { prepare: streamed, createSegment: streamed, writeWhole: streamed, markDone }
}

function streamed(): never {
  throw new Error('there is no archive for WAL')
}
