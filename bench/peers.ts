import { resolve } from 'node:path'
import {
  debianPostgres,
  type PostgresPrograms,
  programsIn,
  versionOf,
} from '../test/helpers/postgres-programs.js'

/** An installed PostgreSQL that we are measured beside. */
export interface Peer extends PostgresPrograms {
  /** `15.18`, `19devel` */
  readonly version: string
}

/** What any one program of a PostgreSQL tells the version by. */
const telling = ['postgres', 'pg_verifybackup', 'pg_basebackup', 'pg_waldump'] as const

/** Debian's PostgreSQL 15 and those in the named directories, the newest first: that is the one that counts. */
export function findPeers(directories: readonly string[]): readonly Peer[] {
  const debian = debianPostgres()
  const bins = new Set([
    ...(debian === undefined ? [] : [debian.bin]),
    ...directories.map((name) => resolve(name)),
  ])
  return Array.from(bins, identify).toSorted((left, right) => compareVersions(right.version, left.version))
}

function identify(bin: string): Peer {
  const programs = programsIn(bin, 0)
  const program = telling.map((name) => programs.path(name)).find((path) => path !== undefined)
  if (program === undefined) throw new Error(`no program of PostgreSQL in "${bin}"`)
  const [version = ''] = versionOf(program).split(' ')
  return { ...programsIn(bin, Number.parseInt(version, 10)), version }
}

function compareVersions(left: string, right: string): number {
  return left.localeCompare(right, 'en', { numeric: true })
}

/** Those that have all of these programs, the newest first; there is one at least. */
export function peersWith(
  peers: readonly Peer[],
  ...programs: readonly string[]
): readonly [Peer, ...Peer[]] {
  const [newest, ...others] = peers.filter((peer) => programs.every((name) => peer.path(name) !== undefined))
  if (newest !== undefined) return [newest, ...others]
  throw new Error(
    `no ${programs.join(', ')} at hand: install Debian's postgresql-15, or name a directory with --peer`,
  )
}

/** The path of a program that this peer has. */
export function programOf(peer: Peer, name: string): string {
  const path = peer.path(name)
  if (path === undefined) throw new Error(`no ${name} in "${peer.bin}"`)
  return path
}
