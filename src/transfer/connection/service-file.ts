import { PbManifestError } from '../../errors.js'
import { readSmallFile } from '../../files/read-small-file.js'
import { type Conninfo, isConninfoKeyword } from './conninfo-keywords.js'

const MAX_BYTES = 1024 * 1024

/**
 * Looks a service up in the first of the files that defines it.
 *
 * @throws {@link PbManifestError} `USAGE` when none does, or when a file is not in the format
 * @see https://www.postgresql.org/docs/current/libpq-pgservice.html
 */
export function readService(service: string, paths: readonly string[]): Conninfo {
  for (const path of paths) {
    const text = readSmallFile(path, MAX_BYTES)?.toString('utf8')
    const found = text === undefined ? undefined : findService(service, text, path)
    if (found !== undefined) return found
  }
  throw new PbManifestError('USAGE', `definition of service "${service}" not found`)
}

/** The first value of a keyword counts. */
function findService(service: string, text: string, path: string): Conninfo | undefined {
  const values = new Map<string, string>()
  let isInService = false
  for (const [index, rawLine] of text.split('\n').entries()) {
    const line = rawLine.trim()
    if (line === '' || line.startsWith('#')) continue
    if (line.startsWith('[')) {
      if (isInService) return values
      isInService = line.startsWith(`[${service}]`)
    } else if (isInService) {
      const [keyword, value] = parseLine(line, `service file "${path}", line ${index + 1}`)
      if (!values.has(keyword)) values.set(keyword, value)
    }
  }
  return isInService ? values : undefined
}

function parseLine(line: string, place: string): [string, string] {
  const [, keyword = '', value = ''] = /^([^=]*)=(.*)$/.exec(line) ?? []
  if (keyword === 'service' || keyword === 'servicefile') {
    throw new PbManifestError('USAGE', `nested "${keyword}" specifications not supported in ${place}`)
  }
  if (!isConninfoKeyword(keyword)) throw new PbManifestError('USAGE', `syntax error in ${place}`)
  return [keyword, value]
}
