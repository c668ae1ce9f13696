import { isUtf8 } from 'node:buffer'
import { PbManifestError } from '../../errors.js'
import { type Conninfo, isConninfoKeyword } from './conninfo-keywords.js'

const scheme = /^postgres(?:ql)?:\/\//

export function isConnectionUri(text: string): boolean {
  return scheme.test(text)
}

/**
 * Reads `postgresql://[user[:password]@][host[:port]][,...][/dbname][?name=value[&...]]`. Not by WHATWG's `URL`: that knows
 * one host only, no empty user, and other rules of encoding.
 *
 * @throws {@link PbManifestError} `USAGE`
 * @see src/interfaces/libpq/fe-connect.c (`conninfo_uri_parse_options`)
 */
export function parseConnectionUri(uri: string): Conninfo {
  const values = new Map<string, string>()
  const store = (keyword: string, encoded: string): void => {
    if (encoded !== '') values.set(keyword, decode(encoded))
  }
  const [, userInfo, afterUser = ''] = /^(?:([^@/]*)@)?([^]*)$/.exec(uri.replace(scheme, '')) ?? []
  if (userInfo !== undefined) {
    const [, user = '', password = ''] = /^([^:]*)(?::([^]*))?$/.exec(userInfo) ?? []
    store('user', user)
    store('password', password)
  }
  const [, hostList = '', database = '', query] =
    /^([^/?]*)(?:\/([^?]*))?(?:\?([^]*))?$/.exec(afterUser) ?? []
  const hosts = hostList.split(',').map(parseHost)
  store('host', joinUnlessEmpty(hosts.map(({ host }) => host)))
  store('port', joinUnlessEmpty(hosts.map(({ port }) => port)))
  store('dbname', database)
  for (const [keyword, value] of parseQuery(query ?? '')) values.set(keyword, value)
  return values
}

function parseHost(text: string): { host: string; port: string } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(text)
  if (bracketed?.[1] === '') throw usage('IPv6 host address may not be empty in URI')
  if (text.startsWith('[') && bracketed === null) {
    throw usage(`end of string, ":", "," or "/" expected after the IPv6 address in URI: "${text}"`)
  }
  const [, host = '', port = ''] = bracketed ?? /^([^:]*)(?::(.*))?$/s.exec(text) ?? []
  return { host, port }
}

function joinUnlessEmpty(parts: readonly string[]): string {
  return parts.every((part) => part === '') ? '' : parts.join(',')
}

function* parseQuery(query: string): Generator<[string, string], void, undefined> {
  for (const parameter of query === '' ? [] : query.split('&')) {
    const [encodedName = '', encodedValue, ...more] = parameter.split('=')
    const name = decode(encodedName)
    if (encodedValue === undefined)
      throw usage(`missing key/value separator "=" in URI query parameter: "${name}"`)
    if (more.length > 0) throw usage(`extra key/value separator "=" in URI query parameter: "${name}"`)
    const value = decode(encodedValue)
    // As JDBC's URIs have it.
    if (name === 'ssl' && value === 'true') yield ['sslmode', 'require']
    else if (isConninfoKeyword(name)) yield [name, value]
    else throw usage(`invalid URI query parameter: "${name}"`)
  }
}

/** Percent encoding and nothing else: `+` is a plus sign. */
function decode(text: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw usage('invalid percent-encoded token in URI')
  if (text.includes('%00')) throw usage('forbidden value %00 in percent-encoded value in URI')
  const bytes = Buffer.from(
    Buffer.from(text, 'utf8')
      .toString('latin1')
      .replaceAll(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
  if (!isUtf8(bytes)) throw usage('percent-encoded value in URI is not UTF-8')
  return bytes.toString('utf8')
}

function usage(message: string): PbManifestError {
  return new PbManifestError('USAGE', message)
}
