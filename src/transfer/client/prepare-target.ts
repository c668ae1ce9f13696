import { PbManifestError } from '../../errors.js'
import type { ClusterFacts, ClusterFile, Tablespace } from '../cluster-files/cluster-files.js'
import { formatRecoveryConfiguration } from './recovery-configuration.js'
import type { BackupOptions } from './options.js'
import type { RunContext } from './run-context.js'
import { nearestVersion } from '../../postgres/versions.js'
import { TarTarget } from '../../target/tar/tar-target.js'
import type { BackupTarget } from '../../target/backup-target.js'
import { requireEmptyOrMissing } from '../../target/claimed-directory.js'
import { DirectoryTarget } from '../../target/directory-target.js'
import { TargetDirectory } from '../../target/target-directory.js'

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
export async function requireUsableTarget(directory: string): Promise<void> {
  await requireEmptyOrMissing(directory, undefined)
}

/** Makes what the backup goes to. */
export async function claimTarget(
  { options, cleanUp }: RunContext,
  tablespaces: readonly Tablespace[],
  facts: ClusterFacts,
): Promise<BackupTarget> {
  const { onNotice } = options
  const target = await prepare(options, tablespaces, facts)
  cleanUp.addRemoval(async () => {
    for (const message of await target.remove()) onNotice?.({ severity: 'WARNING', message })
  })
  cleanUp.add(() => target.abandon())
  return target
}

async function prepare(
  options: BackupOptions,
  tablespaces: readonly Tablespace[],
  facts: ClusterFacts,
): Promise<BackupTarget> {
  const { directory, tablespaceMappings: mappings = [], walDirectory } = options
  const { format = 'plain', sync = true, syncMethod = 'fsync', walMethod = 'stream' } = options
  const { hasGroupAccess } = facts
  const { fileMode } = targetModes(facts)
  const common = { fileMode, sync, recoverySettings: recoverySettingsOf(options, facts) }
  switch (format) {
    case 'plain': {
      const claimed = { directory, tablespaces, mappings, walDirectory, hasGroupAccess }
      return new DirectoryTarget(await TargetDirectory.prepare(claimed), {
        ...common,
        syncsFiles: sync && syncMethod === 'fsync',
      })
    }
    case 'tar': {
      const claimed = { directory, tablespaces: [], mappings: [], walDirectory: undefined, hasGroupAccess }
      return new TarTarget(await TargetDirectory.prepare(claimed), {
        ...common,
        tablespaces,
        streamsWal: walMethod === 'stream',
      })
    }
    default:
      return format satisfies never
  }
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
