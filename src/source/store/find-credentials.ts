import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import type * as ProviderPackage from '@aws-sdk/credential-provider-node'
import { PbManifestError } from '../../errors.js'
import type { StoreCredentials } from './sign-request.js'
import { describeSystemError, ioError } from '../../files/system-error.js'

const PACKAGE = '@aws-sdk/credential-provider-node'

/**
 * What proves to a store who asks: the keys in the environment, then those of the profile. All else that AWS knows (roles, SSO, a
 * program, web identity, containers, instances) is the package's, where it is installed.
 *
 * @throws {@link PbManifestError} `IO`
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 */
export async function findCredentials(env: StoreEnvironment): Promise<StoreCredentials> {
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  } = env
  if (accessKeyId && secretAccessKey) {
    return { accessKeyId, secretAccessKey, sessionToken: sessionToken || undefined }
  }
  const profile = readProfile(env)
  if (profile === undefined && (env['AWS_PROFILE'] || env['AWS_DEFAULT_PROFILE'])) {
    throw new PbManifestError('IO', `there is no AWS profile "${profileName(env)}"`, {
      hint: 'Profiles are in ~/.aws/config and ~/.aws/credentials, or where AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say.',
    })
  }
  return keysOf(profile) ?? (await findByPackage(env, profile))
}

function keysOf(profile: Profile | undefined): StoreCredentials | undefined {
  const accessKeyId = profile?.get('aws_access_key_id')
  const secretAccessKey = profile?.get('aws_secret_access_key')
  if (!accessKeyId || !secretAccessKey || profile?.has('role_arn') === true) return undefined
  return { accessKeyId, secretAccessKey, sessionToken: profile?.get('aws_session_token') || undefined }
}

async function findByPackage(env: StoreEnvironment, profile: Profile | undefined): Promise<StoreCredentials> {
  const provider = await loadPackage()
  if (provider === undefined) {
    throw new PbManifestError('IO', 'no AWS credentials were found', {
      hint: isForPackage(env, profile)
        ? `Roles, SSO, programs, containers and instances need the package ${PACKAGE}: npm install ${PACKAGE}`
        : `Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE. Roles, SSO, containers and instances need the package ${PACKAGE}.`,
    })
  }
  try {
    return await provider.defaultProvider({ profile: profileName(env) })()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new PbManifestError('IO', `no AWS credentials were found: ${reason}`, {
      cause: error,
      hint: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.',
    })
  }
}

/** Whether there is something that only the package knows how to use. */
function isForPackage(env: StoreEnvironment, profile: Profile | undefined): boolean {
  const settings = [
    'role_arn',
    'sso_session',
    'sso_start_url',
    'credential_process',
    'web_identity_token_file',
  ]
  const variables = [
    'AWS_WEB_IDENTITY_TOKEN_FILE',
    'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
    'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  ]
  return settings.some((name) => profile?.has(name)) || variables.some((name) => env[name])
}

async function loadPackage(): Promise<typeof ProviderPackage | undefined> {
  try {
    return await import('@aws-sdk/credential-provider-node')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}

/** The environment variables that say how a store is reached. */
type StoreEnvironment = Readonly<Record<string, string | undefined>>

/** What a profile says, by the names of the settings; nested ones as `s3.addressing_style`. */
export type Profile = ReadonlyMap<string, string>

/** The profile that is meant. */
function profileName(env: StoreEnvironment): string {
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
