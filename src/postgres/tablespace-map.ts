import { badFile } from './bad-file.js'
import { parsePositiveUnsignedInt32 } from './unsigned-int.js'

/** One line of tablespace_map: where the symbolic link `pg_tblspc/<oid>` points. */
export interface TablespaceMapEntry {
  readonly oid: number
  /** The link's target, an absolute pathname of the server's, unescaped and not empty. */
  readonly location: string
}

/**
 * Reads a tablespace_map, which a server that starts on a backup uses to make the links in `pg_tblspc`.
 *
 * A line is the OID, one space, the target; in the target a backslash stands before each CR, LF and backslash. A bare CR
 * ends a line as LF does, and empty lines say nothing, as in the server's reader.
 *
 * @param text - the file's text; an empty one has no entries.
 * @param name - the file's name, for messages.
 * @throws PbManifestError `BAD_FILE` when a line is not OID, space, target, or when the last line has no end.
 * @see src/backend/access/transam/xlogrecovery.c (`read_tablespace_map`)
 */
export function parseTablespaceMap(text: string, name: string): readonly TablespaceMapEntry[] {
  const entries: TablespaceMapEntry[] = []
  let line = ''
  let isEscaped = false
  for (const character of text) {
    if (!isEscaped && (character === '\n' || character === '\r')) {
      if (line !== '') entries.push(parseLine(line, name))
      line = ''
    } else if (!isEscaped && character === '\\') {
      isEscaped = true
    } else {
      line += character
      isEscaped = false
    }
  }
  if (line !== '' || isEscaped) throw badFile(name, 'invalid data in file: last line not newline-terminated')
  return entries
}

function parseLine(line: string, name: string): TablespaceMapEntry {
  const space = line.indexOf(' ')
  const oid = parsePositiveUnsignedInt32(line.slice(0, Math.max(space, 0)))
  const location = line.slice(space + 1)
  if (oid === undefined || location === '') {
    throw badFile(
      name,
      `invalid data in file: ${JSON.stringify(line)} is not a tablespace OID and a location`,
    )
  }
  return { oid, location }
}

/** How many bytes the tablespace_map of a backup with these tablespaces may have, before it is known. */
export function longestTablespaceMap(
  tablespaces: readonly { readonly oid: number | undefined; readonly location: string }[],
): number {
  const lines = tablespaces.flatMap(({ oid, location }) =>
    oid === undefined ? [] : [`${oid} ${location.replaceAll(/[\n\r\\]/g, '\\$&')}\n`],
  )
  return Buffer.byteLength(lines.join(''))
}
