import { decodeBase64 } from './ssh-wire.js'
import { fingerprintOf, typeOfKey } from './ssh-key.js'

/**
 * A line of a file of allowed signers, the format of `ssh-keygen -Y verify -f`.
 *
 * @see ssh-keygen(1), ALLOWED SIGNERS
 */
export interface AllowedSigner {
  readonly line: number
  /** Patterns of those whose key it is, separated by commas. */
  readonly principals: string
  /** As SSH sends it. It may be of a kind that is not supported, and then matches nothing. */
  readonly key: Buffer
  /** Whether the key signs other keys. We do not take those. */
  readonly isAuthority: boolean
  /** Patterns of what it may sign; absent: everything. */
  readonly namespaces?: string
  /** In milliseconds since 1970, as the next. */
  readonly validAfter?: number
  readonly validBefore?: number
}

/** A line that is not understood: nobody is allowed by it. */
export interface UnreadableLine {
  readonly line: number
  readonly fault: string
}

/** Reads a file of allowed signers. As `ssh-keygen` does, it goes on after a line that is not understood. */
export function parseAllowedSigners(file: Buffer): (AllowedSigner | UnreadableLine)[] {
  const signers: (AllowedSigner | UnreadableLine)[] = []
  // Bytes: names need not be UTF-8, and are compared as they are.
  for (const [index, text] of file.toString('latin1').split('\n').entries()) {
    const trimmed = text.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    signers.push(attemptLine(trimmed, index + 1))
  }
  return signers
}

class LineFault extends Error {}

function attemptLine(text: string, line: number): AllowedSigner | UnreadableLine {
  try {
    return parseLine(text, line)
  } catch (error) {
    if (!(error instanceof LineFault)) throw error
    return { line, fault: error.message }
  }
}

function refuse(message: string): never {
  throw new LineFault(message)
}

function parseLine(text: string, line: number): AllowedSigner {
  if (text.includes('\0')) refuse('there is a byte of zero in it')
  const [principals, afterPrincipals] = takePrincipals(text) ?? refuse('its quotation mark has no end')
  const bare = readKey(afterPrincipals)
  if (bare !== undefined) return { line, principals, key: bare, isAuthority: false }
  const [options, afterOptions] = takeOptions(afterPrincipals)
  const key = readKey(afterOptions) ?? refuse('there is no key in it')
  return { line, principals, key, ...parseOptions(options) }
}

/** Up to the first blank, or to the end of what is between quotation marks. @see misc.c of OpenSSH, strdelim_internal */
function takePrincipals(text: string): [principals: string, rest: string] | undefined {
  const at = text.search(/[ \t\r"]/)
  if (text.charAt(at) !== '"') return splitAtBlank(text, 0)
  const end = text.indexOf('"', at + 1)
  if (end === -1) return undefined
  return [text.slice(0, at) + text.slice(at + 1, end), text.slice(end + 1).trimStart()]
}

/** Up to the first blank that is not between quotation marks. */
function takeOptions(text: string): [options: string, rest: string] {
  let isQuoted = false
  let at = 0
  for (; at < text.length; at++) {
    const character = text.charAt(at)
    if (character === '\\' && text.charAt(at + 1) === '"') at++
    else if (character === '"') isQuoted = !isQuoted
    else if (!isQuoted && isBlank(character)) break
  }
  return splitAtBlank(text, at)
}

function splitAtBlank(text: string, from: number): [string, string] {
  let at = from
  while (at < text.length && !isBlank(text.charAt(at))) at++
  return [text.slice(0, at), text.slice(at).trimStart()]
}

function isBlank(character: string): boolean {
  return character === ' ' || character === '\t' || character === '\r'
}

/** A type and the key in base64, which says the same type once more; a comment may follow. */
function readKey(text: string): Buffer | undefined {
  const [type, rest] = splitAtBlank(text, 0)
  const [base64] = splitAtBlank(rest, 0)
  const blob = decodeBase64(base64)
  return blob !== undefined && typeOfKey(blob) === type ? blob : undefined
}

type SignerOptions = Pick<AllowedSigner, 'isAuthority' | 'namespaces' | 'validAfter' | 'validBefore'>

function parseOptions(text: string): SignerOptions {
  const values = new Map<string, string>()
  for (let rest = text; ;) {
    const [whole, rawName = '', equals, rawValue = ''] =
      /^([A-Za-z-]+)(?:(=)"((?:[^"\\]|\\"|\\(?!"))*)")?/.exec(rest) ??
      refuse('its options are not understood')
    const name = rawName.toLowerCase()
    const hasValue = equals !== undefined
    if (!optionNames.has(name) || hasValue === (name === 'cert-authority')) {
      refuse(`its option "${rawName}" is not understood`)
    }
    if (values.has(name)) refuse(`its option "${rawName}" is there twice`)
    values.set(name, rawValue.replaceAll('\\"', '"'))
    rest = rest.slice(whole.length)
    if (rest === '') break
    if (!rest.startsWith(',')) refuse(`what follows its option "${rawName}" is not understood`)
    rest = rest.slice(1)
  }
  const readTime = (name: string): number | undefined => {
    const value = values.get(name)
    if (value === undefined) return undefined
    return parseTime(value) ?? refuse(`the time of its option "${name}" is none`)
  }
  const namespaces = values.get('namespaces')
  const validAfter = readTime('valid-after')
  const validBefore = readTime('valid-before')
  if (validAfter !== undefined && validBefore !== undefined && validBefore <= validAfter) {
    refuse('it ends to be valid before it begins')
  }
  return {
    isAuthority: values.has('cert-authority'),
    ...(namespaces !== undefined && { namespaces }),
    ...(validAfter !== undefined && { validAfter }),
    ...(validBefore !== undefined && { validBefore }),
  }
}

const optionNames: ReadonlySet<string> = new Set([
  'cert-authority',
  'namespaces',
  'valid-after',
  'valid-before',
])

/** `YYYYMMDD[HHMM[SS]][Z]`: without the Z in the time zone of this machine. */
function parseTime(text: string): number | undefined {
  const match = /^([0-9]{4})([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{2})([0-9]{2})?)?(Z|UTC)?$/i.exec(text)
  if (match === null) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((digits: string | undefined) => Number(digits ?? 0))
  const time =
    match[7] === undefined
      ? new Date(year, month - 1, day, hour, minute, second)
      : new Date(Date.UTC(year, month - 1, day, hour, minute, second))
  const isDay = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
  const isTime = hour < 24 && minute < 60 && second < 60
  // The first moment of 1970 means "none" to `ssh-keygen`, which refuses it.
  return year >= 1970 && isDay && isTime && time.getTime() > 0 ? time.getTime() : undefined
}

function daysIn(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate()
}

/** What a signature has to be for. */
export interface SignerDemand {
  /** As SSH sends it. */
  readonly key: Buffer
  readonly namespace: string
  /** Who has to be its signer; absent: any of those in the file. */
  readonly identity: string | undefined
  /** In milliseconds since 1970. */
  readonly now: number
}

/** The signer by whom the demand is met; else why there is none, as a whole sentence would say it. */
export function findAllowedSigner(
  lines: readonly (AllowedSigner | UnreadableLine)[],
  { key, namespace, identity, now }: SignerDemand,
): AllowedSigner | string {
  const isOf = ({ principals }: AllowedSigner): boolean =>
    identity === undefined || matchesList(toBytes(identity), principals)
  let why: string | undefined
  const signers = lines.filter((line) => 'key' in line)
  for (const signer of signers) {
    if (!signer.key.equals(key)) continue
    const fault = isOf(signer) ? faultOf(signer, namespace, now) : `it is not a key of "${identity ?? ''}"`
    if (fault === undefined) return signer
    why ??= `${fault} (line ${signer.line})`
  }
  if (why !== undefined) return why
  const authority = signers.find((signer) => signer.isAuthority && isOf(signer))
  const ending =
    authority === undefined ? '' : ` (line ${authority.line} is a cert-authority, which is not supported)`
  const unread = lines.find((line) => 'fault' in line)
  const doubt = unread === undefined ? '' : `; line ${unread.line} is not understood: ${unread.fault}`
  return `key ${fingerprintOf(key)} is not in the file${ending}${doubt}`
}

function faultOf(signer: AllowedSigner, namespace: string, now: number): string | undefined {
  const { isAuthority, namespaces, validAfter, validBefore } = signer
  if (isAuthority) return 'the key is a cert-authority, which is not supported'
  if (namespaces !== undefined && !matchesList(toBytes(namespace), namespaces)) {
    return `the key may not sign for namespace "${namespace}"`
  }
  if (validAfter !== undefined && now < validAfter) return `the key is not valid before ${show(validAfter)}`
  // `ssh-keygen` compares whole seconds.
  if (validBefore !== undefined && Math.floor(now / 1000) * 1000 > validBefore) {
    return `the key is not valid after ${show(validBefore)}`
  }
  return undefined
}

function show(time: number): string {
  return new Date(time).toISOString().replace('.000', '')
}

/** Who a signer is, for people. */
export function showPrincipals({ principals }: AllowedSigner): string {
  return Buffer.from(principals, 'latin1').toString('utf8')
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Whether one of the patterns matches, and none that is negated. @see match.c of OpenSSH, match_pattern_list */
function matchesList(text: string, patterns: string): boolean {
  let isMatched = false
  for (const pattern of patterns.split(',')) {
    if (pattern.startsWith('!')) {
      if (matchesPattern(text, pattern.slice(1))) return false
    } else {
      isMatched ||= matchesPattern(text, pattern)
    }
  }
  return isMatched
}

/** `*` is for any characters, `?` for one. Only the last `*` is ever tried again, so the time is bounded by the product of the lengths. */
function matchesPattern(text: string, pattern: string): boolean {
  let at = 0
  let star = -1
  let starAt = 0
  let from = 0
  while (at < text.length) {
    const character = pattern.charAt(from)
    if (character === '*') {
      star = from++
      starAt = at
    } else if (from < pattern.length && (character === '?' || character === text.charAt(at))) {
      from++
      at++
    } else if (star !== -1) {
      from = star + 1
      at = ++starAt
    } else {
      return false
    }
  }
  while (pattern.charAt(from) === '*') from++
  return from === pattern.length
}
