import type { TablespaceMapEntry } from '../../src/postgres/tablespace-map.js'

/**
 * Writes a tablespace_map as the server does; the reverse of `parseTablespaceMap`.
 *
 * @see src/backend/access/transam/xlog.c (`do_pg_backup_start`)
 */
export function formatTablespaceMap(entries: Iterable<TablespaceMapEntry>): string {
  return Array.from(entries, ({ oid, location }) => `${oid} ${escape(location)}\n`).join('')
}

function escape(location: string): string {
  return location.replaceAll(/[\n\r\\]/g, String.raw`\$&`)
}
