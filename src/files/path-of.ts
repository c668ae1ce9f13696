import { encodePathname, isUtf8Pathname, type Pathname } from './pathname.js'

/** Where the file of this pathname is, as the calls of `node:fs` take it. */
export function pathOf(directory: string, pathname: Pathname): string | Buffer {
  const path = `${directory}/${pathname}`
  return isUtf8Pathname(pathname)
    ? path
    : Buffer.concat([Buffer.from(`${directory}/`), encodePathname(pathname)])
}
