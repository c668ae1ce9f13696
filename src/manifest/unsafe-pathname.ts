import type { Pathname } from '../files/pathname.js'

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
