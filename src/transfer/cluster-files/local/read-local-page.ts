import { closeSync } from 'node:fs'
import { displayPathname, type Pathname } from '../../../files/pathname.js'
import { readFully } from '../../../files/read-fully.js'
import { ioError } from '../../../files/system-error.js'
import type { LocalPathnames } from './local-pathnames.js'

/**
 * One page of a file.
 *
 * @returns `undefined` when the file ends before the page does
 * @throws as {@link LocalPathnames.open}
 */
export function readLocalPage(
  pathname: Pathname,
  pathnames: LocalPathnames,
  offset: number,
  pageSize: number,
): Buffer | undefined {
  const file = pathnames.open(pathname)
  if (file === undefined) return undefined
  const page = Buffer.alloc(pageSize)
  try {
    return readFully(file.descriptor, page, offset) === pageSize ? page : undefined
  } catch (error) {
    throw ioError(`could not read file "${displayPathname(pathname)}"`, error)
  } finally {
    closeSync(file.descriptor)
  }
}
