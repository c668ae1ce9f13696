import { backupCommand } from '../commands/backup/backup.js'
import type { Command } from '../commands/command.js'
import { verifyCommand } from '../commands/verify/verify.js'
import type { OptionDescription, OptionTable } from '../option-table.js'

/** An option of a program of PostgreSQL. */
export interface PeerOption {
  readonly letter?: string
  /** Its long name there, and that of our option, unless {@link ours} says another. */
  readonly name: string
  /** The first major version that has it; by default 15 had it. */
  readonly since?: number
  /** The name of our option that is meant by it. */
  readonly ours?: string
  /** What is to be known of it here. Default: it is the same. */
  readonly note?: string
}

/** A program of PostgreSQL that one of our commands stands in for. */
export interface Peer {
  readonly name: 'pg_basebackup' | 'pg_verifybackup'
  readonly command: Command
  /** What the help says that it does: `takes a base backup`. */
  readonly does: string
  readonly synopsis: string
  /** Those of all major versions from 15 on, in the order of its help, without --help and --version. */
  readonly options: readonly PeerOption[]
  /** Variables of the environment for our options that its command line does not have, by their names. */
  readonly variables: Readonly<Record<string, string>>
}

const basebackup: Peer = {
  name: 'pg_basebackup',
  command: backupCommand,
  does: 'takes a base backup of a running PostgreSQL server, by several workers.',
  synopsis: '[OPTION]...',
  options: [
    { letter: 'D', name: 'pgdata' },
    { letter: 'F', name: 'format' },
    { letter: 'i', name: 'incremental', since: 17 },
    { letter: 'r', name: 'max-rate', note: 'of all workers together' },
    { letter: 'R', name: 'write-recovery-conf' },
    { letter: 't', name: 'target', note: 'client; server and blackhole are refused' },
    { letter: 'T', name: 'tablespace-mapping' },
    { name: 'waldir' },
    { letter: 'X', name: 'wal-method' },
    { letter: 'z', name: 'gzip' },
    {
      letter: 'Z',
      name: 'compress',
      note: 'on the client, by all workers; long, workers= and levels of lz4 above 1 have no effect',
    },
    { letter: 'c', name: 'checkpoint' },
    { letter: 'C', name: 'create-slot', note: 'the slot is dropped again when the backup fails' },
    { letter: 'l', name: 'label' },
    { letter: 'n', name: 'no-clean' },
    { letter: 'N', name: 'no-sync' },
    { letter: 'P', name: 'progress' },
    { letter: 'S', name: 'slot' },
    { letter: 'v', name: 'verbose' },
    { name: 'manifest-checksums' },
    { name: 'manifest-force-encode' },
    { name: 'no-estimate-size', note: 'sizes are estimated for --progress only' },
    { name: 'no-manifest', note: 'there is no closing check then' },
    { name: 'no-slot' },
    { name: 'no-verify-checksums' },
    { name: 'sync-method', since: 17 },
    {
      letter: 'd',
      name: 'dbname',
      note: 'its database is connected to; without one, postgres, template1 or that of the user',
    },
    { letter: 'h', name: 'host' },
    { letter: 'p', name: 'port' },
    { letter: 's', name: 'status-interval' },
    { letter: 'U', name: 'username' },
    { letter: 'w', name: 'no-password' },
    { letter: 'W', name: 'password' },
  ],
  variables: {
    PBMANIFEST_JOBS: 'jobs',
    PBMANIFEST_AGENT: 'agent',
    PBMANIFEST_IO_TIMEOUT: 'io-timeout',
    PBMANIFEST_RETRIES: 'retries',
    PBMANIFEST_VERIFY: 'verify',
  },
}

const verifybackup: Peer = {
  name: 'pg_verifybackup',
  command: verifyCommand,
  does: 'verifies a backup against the backup manifest, by several threads.',
  synopsis: '[OPTION]... BACKUPDIR',
  options: [
    { letter: 'e', name: 'exit-on-error' },
    { letter: 'F', name: 'format', since: 18 },
    { letter: 'i', name: 'ignore', note: 'globs are understood, too' },
    { letter: 'm', name: 'manifest-path' },
    { letter: 'n', name: 'no-parse-wal' },
    { letter: 'P', name: 'progress', since: 16 },
    { letter: 'q', name: 'quiet' },
    { letter: 's', name: 'skip-checksums' },
    { letter: 'w', name: 'wal-directory', ours: 'wal-path', note: 'an archive of WAL, too' },
    { letter: 'w', name: 'wal-path', since: 19 },
  ],
  variables: {
    PBMANIFEST_JOBS: 'jobs',
    PBMANIFEST_MAX_RATE: 'max-rate',
    PBMANIFEST_PAGE_CHECKSUMS: 'page-checksums',
  },
}

/** The programs of PostgreSQL that we stand in for, by their names. */
export const peers: Readonly<Record<Peer['name'], Peer>> = {
  pg_basebackup: basebackup,
  pg_verifybackup: verifybackup,
}

/** Our description of an option of theirs; `undefined` when we refuse it. */
export function ourOption({ command }: Peer, option: PeerOption): OptionDescription | undefined {
  return command.options[option.ours ?? option.name]
}

/** The options of a peer that are taken, as its command line has them, by the names that our command has for them. */
export function optionTableOf(peer: Peer): OptionTable {
  const table: Record<string, OptionDescription> = {}
  for (const option of peer.options) {
    const ours = ourOption(peer, option)
    if (ours === undefined) continue
    const name = option.ours ?? option.name
    const spellings = [option.letter ?? [], option.name].flat().filter((spelling) => spelling !== name)
    const { alias = [] } = table[name] ?? {}
    table[name] = { ...ours, alias: [...new Set([alias, spellings].flat())] }
  }
  return table
}
