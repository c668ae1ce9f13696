import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ioError } from '../../files/system-error.js'
import { PbManifestError } from '../../errors.js'
import type { ClusterFacts, ClusterFile, Tablespace } from '../cluster-files/cluster-files.js'
import { type BackupOptions, isStandardOutput, isStored, type WalMethod } from './options.js'
import type { RunContext } from './run-context.js'
import { nearestVersion, type PostgresVersion } from '../../postgres/versions.js'
import { StreamTarget } from '../../target/tar/stream-target.js'
import { TarTarget } from '../../target/tar/tar-target.js'
import type { BackupTarget } from '../../target/backup-target.js'
import { requireNothingStored } from '../../target/store/store-claim.js'
import { StoreTarget } from '../../target/store/store-target.js'
import { parseStoreAddress, type StoreAddress } from '../../source/store/store-address.js'
import { StoreClient } from '../../source/store/store-client.js'
import type { StoreOptions } from '../../source/store/store-settings.js'
import { algorithmOf } from './received-checksums.js'
import { requireEmptyOrMissing } from '../../target/claimed-directory.js'
import { DirectoryTarget } from '../../target/directory-target.js'
import { TargetDirectory } from '../../target/target-directory.js'
import type { ConnectionOptions } from '../connection/settings/connection-options.js'

/** How files and directories of a backup are made. */
export interface TargetModes {
  readonly fileMode: number
  readonly directoryMode: number
}

export function targetModes({ hasGroupAccess }: ClusterFacts): TargetModes {
  return hasGroupAccess
    ? { fileMode: 0o640, directoryMode: 0o750 }
    : { fileMode: 0o600, directoryMode: 0o700 }
}

/** Directories of these names are PostgreSQL's own; the server's group may read what is in them, where it has access. */
const ownDirectory = /^(?:base|global|pg_[a-z_]+)(?:\/|$)/

/**
 * How a file or directory of a backup is made: as it is on the server. Where that is not known, as SQL does not tell it,
 * what is not PostgreSQL's own is for its owner alone: a `server.key` that the group may read keeps a server from
 * starting. The owner can always write into a directory, for this run has to.
 */
export function modeOf({ pathname, kind, mode }: ClusterFile, modes: TargetModes): number {
  const { fileMode, directoryMode } = modes
  const isOwn = ownDirectory.test(pathname) || pathname === 'PG_VERSION'
  switch (kind) {
    case 'file':
      return mode ?? (isOwn ? fileMode : 0o600)
    case 'directory':
      return mode === undefined ? (isOwn ? directoryMode : 0o700) : mode | 0o700
    default:
      return kind satisfies never
  }
}

/** Fails early where the target cannot be used, before anything is asked of the server. */
export async function requireUsableTarget(options: BackupOptions): Promise<void> {
  if (isStored(options)) {
    const { address, store } = placeInStore(options)
    const client = new StoreClient(address, store, 1)
    try {
      await requireNothingStored(client, options.signal)
    } finally {
      client.close()
    }
  } else if (!isStandardOutput(options)) await requireEmptyOrMissing(options.directory, undefined)
}

/** @throws {@link PbManifestError} `USAGE` */
function placeInStore({ directory, store, format, walDirectory }: BackupOptions): {
  readonly address: StoreAddress
  readonly store: StoreOptions
} {
  const address = parseStoreAddress(directory)
  const reason =
    store === undefined
      ? 'nothing says how the object store is reached'
      : format === 'tar'
        ? 'a backup in an object store is in plain format'
        : walDirectory === undefined
          ? undefined
          : 'WAL of a backup in an object store has no other place'
  if (store === undefined || reason !== undefined) throw new PbManifestError('USAGE', reason ?? '')
  return { address, store }
}

/**
 * Where a backup keeps what it needs until it is complete: in its directory, or, when it has none, in one that is removed.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function makeWorkingDirectory(options: BackupOptions): Promise<WorkingDirectory> {
  if (!isStandardOutput(options) && !isStored(options)) {
    return { path: options.directory, remove: async () => {} }
  }
  const base = join(tmpdir(), 'pbmanifest-')
  try {
    const path = await mkdtemp(base)
    return { path, remove: async () => await rm(path, { recursive: true, force: true }).catch(() => {}) }
  } catch (error) {
    throw ioError(`could not create directory "${base}XXXXXX"`, error)
  }
}

export interface WorkingDirectory {
  readonly path: string
  /** Never throws. */
  remove(): Promise<void>
}

/** Makes what the backup goes to. */
export async function claimTarget(
  { options, cleanUp, failure }: RunContext,
  tablespaces: readonly Tablespace[],
  facts: ClusterFacts,
  working: WorkingDirectory,
): Promise<BackupTarget> {
  const { onNotice } = options
  const target = await prepare(options, { tablespaces, facts, working, signal: failure.signal })
  cleanUp.addRemoval(async () => {
    for (const message of await target.remove()) onNotice?.({ severity: 'WARNING', message })
  })
  cleanUp.add(() => target.abandon())
  return target
}

interface TargetParts {
  readonly tablespaces: readonly Tablespace[]
  readonly facts: ClusterFacts
  readonly working: WorkingDirectory
  readonly signal: AbortSignal
}

async function prepare(options: RunContext['options'], parts: TargetParts): Promise<BackupTarget> {
  const { directory, tablespaceMappings: mappings = [], walDirectory, format = 'plain' } = options
  const { sync = true, syncMethod = 'fsync' } = options
  const { tablespaces, facts, working, signal } = parts
  const { hasGroupAccess } = facts
  if (isStored(options)) {
    return await StoreTarget.prepare({
      ...placeInStore(options),
      tablespaces,
      scratch: working.path,
      checksum: algorithmOf(options) === 'SHA256' ? 'SHA256' : 'CRC32C',
      recoverySettings: recoverySettingsOf(options, facts),
      signal,
    })
  }
  switch (format) {
    case 'plain': {
      const claimed = { directory, tablespaces, mappings, walDirectory, hasGroupAccess }
      return new DirectoryTarget(await TargetDirectory.prepare(claimed), {
        fileMode: targetModes(facts).fileMode,
        sync,
        recoverySettings: recoverySettingsOf(options, facts),
        syncsFiles: sync && syncMethod === 'fsync',
      })
    }
    case 'tar':
      return await prepareTar(options, parts)
    default:
      return format satisfies never
  }
}

async function prepareTar(
  options: RunContext['options'],
  { tablespaces, facts, working, signal }: TargetParts,
): Promise<BackupTarget> {
  const { directory, compression = NOT_COMPRESSED, compressWal = true } = options
  const { jobs, sync = true, walMethod = 'stream' } = options
  const { hasGroupAccess } = facts
  const set = {
    tablespaces,
    fileMode: targetModes(facts).fileMode,
    sync,
    recoverySettings: recoverySettingsOf(options, facts),
    streamsWal: walMethod === 'stream',
  }
  if (isStandardOutput(options)) {
    requireOneArchive(tablespaces, walMethod)
    const destination = { kind: 'standard-output', scratch: working.path } as const
    return new StreamTarget(destination, { ...set, compression, compressWal, jobs, signal })
  }
  const claimed = await TargetDirectory.prepare({
    directory,
    tablespaces: [],
    mappings: [],
    walDirectory: undefined,
    hasGroupAccess,
  })
  if (compression.method === 'none') return new TarTarget(claimed, set)
  return new StreamTarget(
    { kind: 'directory', directory: claimed },
    { ...set, compression, compressWal, jobs, signal },
  )
}

const NOT_COMPRESSED = { method: 'none', level: undefined } as const

/** In the words of pg_basebackup. */
function requireOneArchive(tablespaces: readonly Tablespace[], walMethod: WalMethod): void {
  if (walMethod === 'stream') {
    throw new PbManifestError('USAGE', 'cannot stream write-ahead logs in tar mode to stdout', {
      hint: 'Use -X fetch, or none.',
    })
  }
  if (tablespaces.length <= 1) return
  const count = tablespaces.length
  throw new PbManifestError('USAGE', `can only write single tablespace to stdout, database has ${count}`, {
    hint: 'Each tablespace has an archive: give a directory.',
  })
}

/** What makes a standby of the backup: `-R`. */
function recoverySettingsOf(
  { writeRecoveryConf, connection, slot }: BackupOptions,
  { majorVersion }: ClusterFacts,
): string | undefined {
  if (writeRecoveryConf !== true) return undefined
  const version = nearestVersion(majorVersion)
  return formatRecoveryConfiguration({ conninfo: connection.conninfo, version, slot })
}

/** A tablespace that was made or dropped while the backup began has no directory here, or an empty one. */
export function requireSameTablespaces(before: readonly Tablespace[], now: readonly Tablespace[]): void {
  if (describeTablespaces(before) === describeTablespaces(now)) return
  throw new PbManifestError('SERVER', 'tablespaces were made or dropped while the backup began', {
    hint: 'Start the backup again.',
  })
}

function describeTablespaces(tablespaces: readonly Tablespace[]): string {
  return JSON.stringify(tablespaces.map(({ oid, location }) => [oid, location]))
}

interface RecoveryConfiguration {
  readonly conninfo: ConnectionOptions['conninfo']
  /** Of the server: what it does not know is left out. */
  readonly version: PostgresVersion
  /** `-S`; `undefined`: none. */
  readonly slot: string | undefined
}

/** The lines that `-R` adds to postgresql.auto.conf. As with pg_basebackup, a password that was given is among them. */
export function formatRecoveryConfiguration({ conninfo, version, slot }: RecoveryConfiguration): string {
  const known = conninfo.filter(([keyword]) => keyword !== 'dbname' || version.hasSlotSynchronization)
  const parameters = known.map(([keyword, value]) => `${keyword}=${quoteConninfoValue(value)}`)
  const lines = [`primary_conninfo = ${quoteSetting(parameters.join(' '))}\n`]
  if (slot !== undefined) lines.push(`primary_slot_name = ${quoteSetting(slot)}\n`)
  return lines.join('')
}

/** @see src/fe_utils/string_utils.c (`appendConnStrVal`) */
function quoteConninfoValue(value: string): string {
  return /^[A-Za-z0-9_.]+$/.test(value) ? value : `'${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`
}

/** @see src/port/quotes.c (`escape_single_quotes_ascii`) */
function quoteSetting(value: string): string {
  return `'${value.replaceAll(/['\\]/g, '$&$&')}'`
}
