import { addressingStyle, endpointUrl } from '../../shared-options.js'
import type { OptionValues } from '../command.js'

/** Those of pg_basebackup, whose words they have, and ours. */
export const backupOptions = {
  'Options controlling the output:': {
    pgdata: {
      alias: 'D',
      type: 'string',
      value: 'DIRECTORY',
      kind: 'directory',
      describe: 'receive base backup into directory, or s3://BUCKET/PREFIX; with -Ft, - is standard output',
    },
    format: {
      alias: 'F',
      type: 'string',
      value: 'p|t',
      kind: 'text',
      suggestions: ['plain', 'tar'],
      describe: 'output format (plain (default), tar)',
    },
    incremental: {
      alias: 'i',
      type: 'string',
      value: 'OLDMANIFEST',
      kind: 'file',
      describe: 'take incremental backup',
    },
    'max-rate': {
      alias: 'r',
      type: 'string',
      value: 'RATE',
      kind: 'text',
      describe: 'maximum transfer rate of all workers together (in kB/s, or use suffix "k" or "M")',
    },
    'write-recovery-conf': {
      alias: 'R',
      type: 'boolean',
      describe: 'write configuration for replication',
    },
    target: {
      alias: 't',
      type: 'string',
      value: 'client',
      kind: 'text',
      suggestions: ['client'],
      describe: 'backup target: client, the only one',
    },
    'tablespace-mapping': {
      alias: 'T',
      type: 'string',
      array: true,
      value: 'OLDDIR=NEWDIR',
      kind: 'text',
      describe: 'relocate tablespace in OLDDIR to NEWDIR',
    },
    waldir: {
      type: 'string',
      value: 'WALDIR',
      kind: 'directory',
      describe: 'location for the write-ahead log directory',
    },
    'wal-method': {
      alias: 'X',
      type: 'string',
      value: 'none|fetch|stream',
      kind: 'text',
      suggestions: ['none', 'fetch', 'stream'],
      describe: 'include required WAL files with specified method (default: stream)',
    },
    compress: {
      alias: 'Z',
      type: 'string',
      value: 'METHOD[:LEVEL]',
      kind: 'text',
      suggestions: ['none', 'gzip', 'lz4', 'zstd'],
      describe: 'compress tar output with gzip, lz4 or zstd, or not (none)',
    },
    gzip: { alias: 'z', type: 'boolean', describe: 'compress tar output' },
    // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- isolatedDeclarations has to see the type
    'endpoint-url': endpointUrl as typeof endpointUrl,
    // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- the same
    'addressing-style': addressingStyle as typeof addressingStyle,
    output: {
      choices: ['text', 'json'],
      default: 'text',
      type: 'string',
      value: 'text|json',
      describe: 'result as text, or one JSON document on standard output',
    },
  },
  'General options:': {
    jobs: {
      alias: 'j',
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'workers that copy files, each with a connection of its own (default: 4)',
    },
    checkpoint: {
      alias: 'c',
      type: 'string',
      value: 'fast|spread',
      kind: 'text',
      suggestions: ['fast', 'spread'],
      describe: 'set fast or spread (default) checkpointing',
    },
    'create-slot': { alias: 'C', type: 'boolean', describe: 'create replication slot' },
    label: { alias: 'l', type: 'string', value: 'LABEL', kind: 'text', describe: 'set backup label' },
    'no-clean': { alias: 'n', type: 'boolean', describe: 'do not clean up after errors' },
    'no-sync': {
      alias: 'N',
      type: 'boolean',
      describe: 'do not wait for changes to be written safely to disk',
    },
    progress: { alias: 'P', type: 'boolean', describe: 'show progress information' },
    slot: {
      alias: 'S',
      type: 'string',
      value: 'SLOTNAME',
      kind: 'text',
      describe: 'replication slot to use',
    },
    verbose: { alias: 'v', type: 'boolean', describe: 'output verbose messages' },
    'manifest-checksums': {
      type: 'string',
      value: 'ALGORITHM',
      kind: 'text',
      suggestions: ['NONE', 'CRC32C', 'SHA224', 'SHA256', 'SHA384', 'SHA512'],
      describe: 'CRC32C (default), SHA224, SHA256, SHA384, SHA512 or NONE',
    },
    'manifest-force-encode': {
      type: 'boolean',
      describe: 'hex encode all file names in manifest',
    },
    'no-estimate-size': { type: 'boolean', describe: 'do not estimate backup size' },
    'no-manifest': {
      type: 'boolean',
      describe: 'suppress generation of backup manifest',
    },
    'no-slot': {
      type: 'boolean',
      describe: 'prevent creation of temporary replication slot',
    },
    'no-verify-checksums': { type: 'boolean', describe: 'do not verify checksums' },
    'sync-method': {
      type: 'string',
      value: 'fsync|syncfs',
      kind: 'text',
      suggestions: ['fsync', 'syncfs'],
      describe: 'set method for syncing files to disk (default: fsync)',
    },
    verify: {
      type: 'boolean',
      describe: 'read the whole backup again at the end, as "pbmanifest verify" does',
    },
  },
  'Connection options:': {
    agent: {
      type: 'string',
      value: 'CONNSTR',
      kind: 'text',
      describe: 'HOST:PORT, socket directory or connection string of a "pbmanifest serve"',
    },
    dbname: {
      alias: 'd',
      type: 'string',
      value: 'CONNSTR',
      kind: 'text',
      describe: 'connection string',
    },
    host: {
      alias: 'h',
      type: 'string',
      value: 'HOSTNAME',
      kind: 'text',
      describe: 'database server host or socket directory',
    },
    port: {
      alias: 'p',
      type: 'string',
      value: 'PORT',
      kind: 'number',
      describe: 'database server port number',
    },
    'status-interval': {
      alias: 's',
      type: 'string',
      value: 'INTERVAL',
      kind: 'number',
      describe: 'time between status packets sent to server (in seconds; default: 10)',
    },
    username: {
      alias: 'U',
      type: 'string',
      value: 'NAME',
      kind: 'text',
      describe: 'connect as specified database user',
    },
    'io-timeout': {
      type: 'string',
      value: 'SECONDS',
      kind: 'number',
      describe: 'how long the other side may be silent when it has to answer (default: as TCP has it)',
    },
    retries: {
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'how often in a row a worker whose connection is lost connects again (default: 3)',
    },
    'no-password': {
      alias: 'w',
      type: 'boolean',
      describe: 'never prompt for password',
    },
    password: { alias: 'W', type: 'boolean', describe: 'force password prompt' },
  },
} as const

/** The values of the options of `pbmanifest backup`, as the command line has them. */
export type BackupValues = OptionValues<typeof backupOptions>

/** Those of them that say how to connect. */
export type ConnectionValues = OptionValues<Pick<typeof backupOptions, 'Connection options:'>>

/** Spellings of pg_basebackup, of this or an older version, that are refused, and what to do instead. */
export const refusedBackupOptions: Readonly<Record<string, string>> = {
  '-x': 'Since PostgreSQL 10 it is -X fetch; -X stream, the default, needs no WAL to be kept.',
  '--xlog': 'Since PostgreSQL 10 it is --wal-method=fetch; stream, the default, needs no WAL to be kept.',
  '--xlog-method': 'Since PostgreSQL 10 it is --wal-method.',
  '--xlogdir': 'Since PostgreSQL 10 it is --waldir.',
}
