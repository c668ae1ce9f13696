import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { ioError } from '../../files/system-error.js'
import { describeSystemError } from '../../files/system-error.js'

/** The environment variables that say how a store is reached. */
export type StoreEnvironment = Readonly<Record<string, string | undefined>>

/** What a profile says, by the names of the settings; nested ones as `s3.addressing_style`. */
export type Profile = ReadonlyMap<string, string>

/** The profile that is meant. */
export function profileName(env: StoreEnvironment): string {
  return env['AWS_PROFILE'] || env['AWS_DEFAULT_PROFILE'] || 'default'
}

/**
 * Reads a profile from the shared config and credentials files; the latter comes first.
 *
 * @returns `undefined` when neither has it
 * @throws {@link PbManifestError} `IO` for a file that is there and cannot be read
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */
export function readProfile(env: StoreEnvironment): Profile | undefined {
  const home = env['HOME'] || homedir()
  const name = profileName(env)
  const config = readIfThere(env['AWS_CONFIG_FILE'] || `${home}/.aws/config`)
  const credentials = readIfThere(env['AWS_SHARED_CREDENTIALS_FILE'] || `${home}/.aws/credentials`)
  const found = [
    parseProfiles(config).get(name === 'default' ? name : `profile ${name}`),
    name === 'default' ? parseProfiles(config).get('profile default') : undefined,
    parseProfiles(credentials).get(name),
  ].filter((profile) => profile !== undefined)
  return found.length === 0 ? undefined : new Map(found.flatMap((profile) => [...profile]))
}

/** The sections of such a file. */
export function parseProfiles(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>()
  let section: Map<string, string> | undefined
  let outer = ''
  for (const line of text.split(/\r?\n/)) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#') || trimmed.startsWith(';')) continue
    if (trimmed.startsWith('[')) {
      const name = trimmed
        .slice(1, Math.max(trimmed.indexOf(']'), 1))
        .trim()
        .split(/\s+/)
        .join(' ')
      section = sections.get(name) ?? new Map<string, string>()
      sections.set(name, section)
      outer = ''
      continue
    }
    const equals = trimmed.indexOf('=')
    if (equals === -1) continue
    const name = trimmed.slice(0, equals).trim().toLowerCase()
    const value = withoutComment(trimmed.slice(equals + 1)).trim()
    const isNested = /^\s/.test(line) && outer !== ''
    if (!isNested) outer = value === '' ? name : ''
    section?.set(isNested ? `${outer}.${name}` : name, value)
  }
  return sections
}

function withoutComment(value: string): string {
  const comment = value.search(/\s[#;]/)
  return comment === -1 ? value : value.slice(0, comment)
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (describeSystemError(error)?.code === 'ENOENT') return ''
    throw ioError(`could not read file "${path}"`, error)
  }
}
