import { chownSync, lchownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createFileHasher } from '../../../../src/manifest/checksum/create-file-hasher.js'
import type { ClusterFile, ClusterFiles } from '../../../../src/transfer/cluster-files/cluster-files.js'
import type { SqlClusterFiles } from '../../../../src/transfer/cluster-files/sql/sql-cluster-files.js'
import type { Cluster } from '../../../helpers/cluster.js'
import { mustRun } from '../../../helpers/run-program.js'
import { writeOddFiles } from '../../../helpers/odd-files.js'

/** Tables of all kinds, a tablespace, and files that a user or a crash left. */
export async function fillLiveCluster(cluster: Cluster): Promise<void> {
  await cluster.createTablespace('fast')
  await cluster.sql('CREATE DATABASE second')
  await cluster.sql(`
    CREATE TABLE large AS SELECT n, repeat(md5(n::text), 8) AS filler FROM generate_series(1, 10000) AS n;
    CREATE TABLE elsewhere TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;
    CREATE TABLE empty (n int);
    CREATE UNLOGGED TABLE unlogged AS SELECT n FROM generate_series(1, 1000) AS n;
    CREATE UNLOGGED TABLE unlogged_elsewhere TABLESPACE fast AS SELECT n FROM generate_series(1, 1000) AS n;`)
  await cluster.sql('VACUUM')
  await writeOddFiles(cluster.dataDirectory)
  const write = (pathname: string, content = pathname): void => {
    const path = join(cluster.dataDirectory, pathname)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, content)
  }
  for (const pathname of [
    // Left out, wherever they are.
    'backup_label',
    'backup_manifest',
    'tablespace_map',
    'extra/.DS_Store',
    'extra/backup_label',
    'extra/pgsql_tmp_left',
    'extra/pgsql_tmp/inside',
    'extra/pg_internal.init.77',
    'base/5/t99_12345',
    'base/5/88888_init',
    'base/5/88888.1',
    // Directories whose content is left out.
    'pg_replslot/left/state',
    'extra/pg_notify/inside',
    'pg_wal/extra',
    // Kept.
    'backup_label.old',
    'extra/.hidden',
    'extra/it\'s "quoted" \\\'; DROP TABLE large; --',
    'extra/$1 %s {} ,(',
    'global/t99_12345',
    'pg_tblspc/a file',
  ]) {
    write(pathname)
  }
  // The server would take a real backup_label for one that it should recover from, but only at its start.
  write('extra/empty', '')
  write('extra/one chunk', 'x'.repeat(256 * 1024))
  write('extra/more than one chunk', 'x'.repeat(256 * 1024 + 1))
  giveToServer(cluster, ['extra', 'backup_label', 'backup_manifest', 'tablespace_map', 'backup_label.old'])
}

/** What a server's own backup says it skips: to SQL it looks like an empty file. */
export async function makeFifo(cluster: Cluster, pathname: string): Promise<void> {
  await mustRun('mkfifo', [join(cluster.dataDirectory, pathname)])
  giveToServer(cluster, [pathname])
}

export function makeDirectory(cluster: Cluster, pathname: string): void {
  mkdirSync(join(cluster.dataDirectory, pathname))
  giveToServer(cluster, [pathname])
}

export function makeLink(cluster: Cluster, pathname: string, target: string): void {
  const path = join(cluster.dataDirectory, pathname)
  symlinkSync(target, path)
  if (cluster.user !== undefined) lchownSync(path, cluster.user.uid, cluster.user.gid)
}

function giveToServer(cluster: Cluster, pathnames: readonly string[]): void {
  if (cluster.user === undefined) return
  for (const pathname of pathnames) {
    chownSync(join(cluster.dataDirectory, pathname), cluster.user.uid, cluster.user.gid)
  }
}

/** All that a backup has of the cluster, in the order of the tablespaces. */
export async function listEverything(files: ClusterFiles): Promise<ClusterFile[]> {
  const listed: ClusterFile[] = []
  for (const { oid } of await files.listTablespaces({ withSizes: false })) {
    listed.push(...(await files.listFiles(oid)))
  }
  return listed
}

/** A file as a manifest knows it, without its time. */
export interface ReadFile {
  readonly pathname: string
  readonly size: number
  readonly checksum: string
}

/** Reads files, and checks that their events come as they should. */
export async function readAll(
  source: SqlClusterFiles,
  files: readonly ClusterFile[],
  signal?: AbortSignal,
): Promise<ReadFile[]> {
  const hasher = await createFileHasher('CRC32C')
  const read: ReadFile[] = []
  let current: { pathname: string; size: number; bytes: number } | undefined
  for await (const event of source.read(files, signal)) {
    switch (event.type) {
      case 'file':
        if (current !== undefined)
          throw new Error(`"${event.pathname}" begins before "${current.pathname}" ends`)
        current = { pathname: event.pathname, size: event.size, bytes: 0 }
        hasher.reset()
        break
      case 'bytes':
        if (current === undefined) throw new Error('bytes of no file')
        current.bytes += event.bytes.length
        hasher.update(event.bytes)
        break
      case 'end':
        if (current?.bytes !== current?.size || current === undefined)
          throw new Error('a file ends too early')
        read.push({ pathname: current.pathname, size: current.size, checksum: hasher.digest() })
        current = undefined
        break
      case 'vanished':
        break
      default:
        event satisfies never
    }
  }
  return read
}
