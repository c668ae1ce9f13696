import { displayPathname, type Pathname } from './pathname.js'

declare const isSafe: unique symbol

/**
 * A pathname that stays in the directory that it is relative to: it went through {@link requireSafePathname}, and nothing else
 * makes one. Whatever writes takes this type, so that a name from a server, an agent, an archive or a manifest cannot lead
 * anywhere else.
 */
export type SafePathname = Pathname & { readonly [isSafe]: true }

/**
 * Why this pathname cannot name a file of a backup; `undefined` when it can.
 *
 * PostgreSQL's readers take any pathname literally. One that starts at the root, climbs out, or is not in its
 * shortest form would make a tool that reads or restores files touch what is not part of the backup.
 */
export function unsafePathnameReason(pathname: Pathname): string | undefined {
  if (pathname === '') return 'empty path name'
  if (pathname.includes('\0')) return 'path name contains a null byte'
  if (pathname.startsWith('/')) return 'absolute path name'
  if (/(?:^|\/)\.\.(?:\/|$)/.test(pathname)) return 'path name leaves the data directory'
  if (/(?:^|\/)\.(?:\/|$)|\/\/|\/$/.test(pathname)) return 'path name is not in its shortest form'
  return undefined
}

/**
 * The gate for pathnames that somebody else made up.
 *
 * @param refuse - makes the error of a message such as `absolute path name: "/etc/passwd"`
 */
export function requireSafePathname(pathname: Pathname, refuse: (message: string) => Error): SafePathname {
  const reason = unsafePathnameReason(pathname)
  if (reason !== undefined) throw refuse(`${reason}: "${displayPathname(pathname)}"`)
  return pathname as SafePathname
}

/**
 * The pathname of one thing in a directory.
 *
 * @param directory - `''` for the data directory itself
 * @param name - as somebody else lists it: one component
 * @param refuse - see {@link requireSafePathname}
 */
export function requireSafeChild(
  directory: SafePathname | '',
  name: Pathname,
  refuse: (message: string) => Error,
): SafePathname {
  if (name.includes('/')) throw refuse(`name in a directory has a slash: "${displayPathname(name)}"`)
  const child = requireSafePathname(name, refuse)
  return directory === '' ? child : (`${directory}/${child}` as SafePathname)
}

/** A pathname that our own code makes, of constants and numbers. */
export function ownPathname(pathname: Pathname): SafePathname {
  return requireSafePathname(pathname, (message) => new Error(message))
}
