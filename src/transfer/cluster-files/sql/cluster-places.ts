import { PbManifestError } from '../../../errors.js'
import { decodePathname, type Pathname } from '../../../files/pathname.js'
import type { ClusterLayout } from '../../../manifest/contents/select-entries.js'
import { tablespaceVersionDirectory } from '../../../postgres/data-directory.js'
import { parsePositiveUnsignedInt32 } from '../../../postgres/unsigned-int.js'
import { nearestVersion } from '../../../postgres/versions.js'
import { copiedRows, readInt8 } from './copied-rows.js'
import type { SqlConnection } from './sql-connection.js'

/** A tablespace, by its link in pg_tblspc, or its directory there. */
interface TablespaceLocation {
  readonly oid: number
  /** Absolute, or `pg_tblspc/OID` for an in-place tablespace. */
  readonly location: Pathname
}

/** Where a running cluster has its files. */
export interface ClusterPlaces {
  readonly layout: ClusterLayout & { readonly tablespaceDirectory: string }
  /** By their OIDs. */
  readonly tablespaces: readonly TablespaceLocation[]
}

/** @throws {@link PbManifestError} `SERVER` */
export async function readClusterPlaces(connection: SqlConnection): Promise<ClusterPlaces> {
  // The setting data_directory is there for members of pg_read_all_settings; for others its row or its value is missing.
  const [row] = await connection.rows<{ version: string; catalog: string; directory: string | null }>(`
    SELECT pg_catalog.current_setting('server_version_num') AS version, catalog_version_no::text AS catalog,
           (SELECT pg_catalog.encode(pg_catalog.textsend(setting), 'hex')
              FROM pg_catalog.pg_settings WHERE name = 'data_directory') AS directory
      FROM pg_catalog.pg_control_system()`)
  const majorVersion = Math.floor(Number(row?.version) / 10_000)
  const tablespaces = await readTablespaces(connection)
  const dataDirectory = decodePathname(Buffer.from(row?.directory ?? '', 'hex'))
  const innerTablespaces = tablespaces.flatMap(({ location }) => belowDirectory(location, dataDirectory))
  return {
    layout: {
      version: nearestVersion(majorVersion),
      tablespaceDirectory: tablespaceVersionDirectory(majorVersion, Number(row?.catalog)),
      innerTablespaces: new Set(innerTablespaces),
    },
    tablespaces,
  }
}

function belowDirectory(location: Pathname, dataDirectory: Pathname): Pathname[] {
  const start = `${dataDirectory}/`
  return dataDirectory !== '' && location.startsWith(start) ? [location.slice(start.length)] : []
}

/** By pg_tblspc, as a server's own backup, not by the catalog. */
async function readTablespaces(connection: SqlConnection): Promise<readonly TablespaceLocation[]> {
  const names: string[] = []
  for await (const { value } of copiedRows(connection, LINKS, 1)) names.push(value.toString('latin1'))
  const oids = names.map((name) => parsePositiveUnsignedInt32(name)).filter((oid) => oid !== undefined)
  const tablespaces: TablespaceLocation[] = []
  const locations = `
    SELECT oid::bigint, pg_catalog.pg_tablespace_location(oid)
      FROM pg_catalog.unnest('{${oids.join(',')}}'::oid[]) AS oid, LATERAL pg_catalog.pg_stat_file('pg_tblspc/' || oid, true)
     WHERE isdir`
  for await (const { fields, value } of copiedRows(connection, locations, 2)) {
    const oid = readInt8(fields[0])
    if (oid === undefined || !oids.includes(oid)) {
      throw new PbManifestError('SERVER', 'the server answers for tablespaces that were not asked for')
    }
    tablespaces.push({ oid, location: decodePathname(value) })
  }
  return tablespaces.toSorted((left, right) => left.oid - right.oid)
}

const LINKS = `SELECT name FROM pg_catalog.pg_ls_dir('pg_tblspc', true, false) AS name`
