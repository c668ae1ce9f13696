import { encodePathname, isUtf8Pathname, type Pathname } from './pathname.js'

/** Where the file of this pathname is, as the calls of `node:fs` take it. */
export function pathOf(directory: Pathname, pathname: Pathname): string | Buffer {
  return pathTo(`${directory}/${pathname}`)
}

/** The same for a pathname that is a path already. */
export function pathTo(pathname: Pathname): string | Buffer {
  return isUtf8Pathname(pathname) ? pathname : encodePathname(pathname)
}
