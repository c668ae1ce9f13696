import type { ArchiveContents } from '../../source/tar/archive.js'
import { parsePositiveUnsignedInt32 } from '../../postgres/unsigned-int.js'
import type { FileTable } from './file-table.js'

/** The tablespaces in which a manifest has files, by their OIDs, ascending. */
export function tablespacesIn(table: FileTable): Exclude<ArchiveContents, string>[] {
  const beginning = [Buffer.from('pg_tblspc/')]
  const oids = new Set<number>()
  for (let row = 0; row < table.rows; row++) {
    if (!table.beginsWithOne(row, beginning)) continue
    const oid = parsePositiveUnsignedInt32(table.pathname(row).split('/')[1] ?? '')
    if (oid !== undefined) oids.add(oid)
  }
  return [...oids].toSorted((left, right) => left - right).map((tablespaceOid) => ({ tablespaceOid }))
}
