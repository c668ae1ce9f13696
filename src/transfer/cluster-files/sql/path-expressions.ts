import { encodePathname, type Pathname } from '../../../files/pathname.js'

/** What SQL functions take for the data directory itself. */
const DATA_DIRECTORY = '.'

/**
 * An SQL expression, an array of the texts that name these files on the server, in the same order; null for what the
 * server does not have.
 *
 * Names stand in it in hexadecimal, so none of them, whatever its bytes, can be read as SQL. Others than ASCII are looked
 * up in the listing of their directory: a text made of bytes that the database's encoding does not allow is refused by
 * every function, but a listing gives it.
 */
export function pathArray(pathnames: readonly Pathname[]): string {
  if (pathnames.every(isAscii)) {
    const list = pathnames.map((pathname) => hexOf(pathname === '' ? DATA_DIRECTORY : pathname)).join(' ')
    return `ARRAY(SELECT pg_catalog.convert_from(pg_catalog.decode(hex, 'hex'), 'SQL_ASCII')
                    FROM pg_catalog.unnest(pg_catalog.string_to_array('${list}', ' ')) WITH ORDINALITY AS listed (hex, place) ORDER BY place)`
  }
  return `ARRAY[${pathnames.map((pathname) => (isAscii(pathname) ? asciiPath(pathname) : lookedUpPath(pathname))).join(', ')}]`
}

function asciiPath(pathname: Pathname): string {
  return textOf(pathname === '' ? DATA_DIRECTORY : pathname)
}

function lookedUpPath(pathname: Pathname): string {
  let path: string | undefined
  const listings: string[] = []
  const conditions: string[] = []
  for (const component of pathname.split('/')) {
    let name = ''
    if (isAscii(component)) name = textOf(component)
    else {
      name = `name${String(listings.length)}`
      listings.push(`LATERAL pg_catalog.pg_ls_dir(${path ?? textOf(DATA_DIRECTORY)}, true, false) AS ${name}`)
      conditions.push(`pg_catalog.textsend(${name}) = pg_catalog.decode('${hexOf(component)}', 'hex')`)
    }
    path = path === undefined ? name : `${path} || '/' || ${name}`
  }
  return `(SELECT ${path ?? ''} FROM ${listings.join(', ')} WHERE ${conditions.join(' AND ')})`
}

function textOf(ascii: string): string {
  return `pg_catalog.convert_from(pg_catalog.decode('${hexOf(ascii)}', 'hex'), 'SQL_ASCII')`
}

function hexOf(pathname: Pathname): string {
  return encodePathname(pathname).toString('hex')
}

function isAscii(pathname: Pathname): boolean {
  // oxlint-disable-next-line no-control-regex -- newlines and other controls are ASCII too
  return /^[\u0001-\u007f]*$/.test(pathname)
}
