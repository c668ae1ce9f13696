import { isWalSegmentSize } from '../../../postgres/wal-segment.js'
import { PbManifestError } from '../../../errors.js'
import { findVersion, newestVersion, oldestVersion } from '../../../postgres/versions.js'
import type { ClusterFacts } from '../cluster-files.js'
import type { SqlConnection } from './sql-connection.js'

const FACTS = `
  SELECT pg_catalog.current_setting('server_version_num')::int AS version, pg_control_version AS control,
         system_identifier::text AS system,
         (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size') AS segment,
         pg_catalog.current_setting('data_checksums') AS checksums,
         pg_catalog.current_setting('data_directory_mode') AS mode,
         pg_catalog.pg_is_in_recovery() AS recovery
    FROM pg_catalog.pg_control_system()`

interface FactsRow {
  readonly version: number
  readonly control: number
  readonly system: string
  readonly segment: string
  readonly checksums: string
  readonly mode: string
  readonly recovery: boolean
}

/** @throws {@link PbManifestError} `SERVER`, also when the server is too old, or newer than what we know */
export async function readClusterFacts(connection: SqlConnection): Promise<ClusterFacts> {
  const [row] = await connection.rows<FactsRow & Record<string, unknown>>(FACTS)
  if (row === undefined) throw new PbManifestError('SERVER', 'the server does not say what it is')
  const majorVersion = Math.floor(row.version / 10_000)
  requireKnownVersion(majorVersion, row.control)
  const walSegmentSize = Number(row.segment)
  if (!isWalSegmentSize(walSegmentSize) || !/^-?[0-9]{1,19}$/.test(row.system)) {
    throw new PbManifestError('SERVER', 'the server says of itself what cannot be', {
      details: [`wal_segment_size "${row.segment}", system identifier "${row.system}"`],
    })
  }
  return {
    majorVersion,
    // A bigint in SQL has a sign, the system identifier has none.
    systemIdentifier: BigInt.asUintN(64, BigInt(row.system)),
    walSegmentSize,
    hasDataChecksums: row.checksums === 'on',
    hasGroupAccess: (Number.parseInt(row.mode, 8) & 0o050) !== 0,
    isInRecovery: row.recovery,
  }
}

/**
 * What is not known could not be verified afterwards, so that it is said before anything is copied.
 *
 * @throws {@link PbManifestError} `SERVER`
 */
export function requireKnownVersion(majorVersion: number, controlVersion: number): void {
  const version = findVersion(majorVersion)
  if (version === undefined) {
    const known = `${oldestVersion.major} to ${newestVersion.major}`
    throw new PbManifestError('SERVER', `server version ${majorVersion} is not supported`, {
      hint: `Backups are taken of PostgreSQL ${known}.`,
    })
  }
  if (!version.controlVersions.includes(controlVersion)) {
    throw new PbManifestError(
      'SERVER',
      `control file version ${controlVersion} of the server is not supported`,
      { hint: `Backups are taken of PostgreSQL ${majorVersion} with ${version.controlVersions.join(', ')}.` },
    )
  }
}
