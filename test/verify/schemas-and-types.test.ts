import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { FragmentSealJson, ManifestFileJson } from '../../src/manifest/fragment/fragment-lines.js'
import {
  type ChainNotChecked,
  type ChainProblem,
  chainProblemKinds,
  type ChainReport,
} from '../../src/verify/chain/chain-report.js'
import {
  type GoodSignature,
  type SignatureProblem,
  signatureProblemKinds,
} from '../../src/signature/check-signature.js'
import type { BackupFacts } from '../../src/verify/backup-facts.js'
import {
  type BackupOutcome,
  type BackupsReport,
  type OutcomeVerdict,
  outcomeVerdicts,
  type VerificationError,
} from '../../src/verify/several/verify-backups.js'
import type { SignedReportCheck } from '../../src/signature/signed-report.js'
import type { SchemaName } from '../../src/schemas/validator.js'
import {
  type CheckedPages,
  type NotChecked,
  type Problem,
  type ProblemKind,
  problemKinds,
  type VerifiedManifest,
  type VerifyReport,
  type VerifyStep,
  verifySteps,
  type Warning,
  warningKinds,
} from '../../src/verify/report.js'
import type { ReportedOptions } from '../../src/verify/reported-options.js'

/** What is looked at of a schema, at any depth. */
interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly items?: SchemaNode
  readonly enum?: readonly unknown[]
  readonly additionalProperties?: unknown
  readonly $defs?: Readonly<Record<string, SchemaNode>>
}

function schema(name: SchemaName): SchemaNode {
  const file = new URL(`../../schemas/${name}.schema.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as SchemaNode
}

type Presence = 'required' | 'optional'

/** What the compiler says of each key; a type with a key more or less, or of other presence, does not compile. */
type PresenceOf<Type> = { [Key in keyof Type]-?: object extends Pick<Type, Key> ? 'optional' : 'required' }

function presenceIn({ properties = {}, required = [] }: SchemaNode): Record<string, Presence> {
  return Object.fromEntries(
    Object.keys(properties).map((key) => [key, required.includes(key) ? 'required' : 'optional']),
  )
}

const report = schema('verify-report')
const manifest = report.properties?.['manifest']
const problem = report.$defs?.['problem']
const notChecked = report.properties?.['notChecked']?.items
const warning = report.properties?.['warnings']?.items
const signedReport = schema('signed-report')
const signedReportProblem = signedReport.properties?.['problems']?.items
const several = schema('verify-backups-report')
const chain = schema('verify-chain-report')
const chainProblem = chain.properties?.['problems']?.items
const chainNotChecked = chain.properties?.['notChecked']?.items

const reportKeys = {
  reportVersion: 'required',
  pbmanifestVersion: 'required',
  host: 'required',
  startedAt: 'required',
  endedAt: 'required',
  directory: 'required',
  path: 'required',
  format: 'required',
  verdict: 'required',
  options: 'required',
  backup: 'required',
  manifest: 'required',
  signature: 'optional',
  problems: 'required',
  problemCounts: 'required',
  checksumsFrom: 'required',
  filesChecked: 'required',
  bytesChecked: 'required',
  sample: 'optional',
  pages: 'required',
  walRecords: 'required',
  walBytes: 'required',
  engines: 'required',
  seconds: 'required',
  notChecked: 'required',
  warnings: 'required',
} as const satisfies PresenceOf<VerifyReport>

const manifestKeys = {
  path: 'required',
  version: 'required',
  systemIdentifier: 'required',
  files: 'required',
  bytes: 'required',
  walRanges: 'required',
  checksum: 'required',
} as const satisfies PresenceOf<VerifiedManifest>

const walRangeKeys = {
  timeline: 'required',
  startLsn: 'required',
  endLsn: 'required',
} as const satisfies PresenceOf<VerifiedManifest['walRanges'][number]>

const problemKeys = {
  kind: 'required',
  path: 'optional',
  encodedPath: 'optional',
  message: 'required',
  detail: 'optional',
  size: 'optional',
  checksum: 'optional',
  block: 'optional',
  pageChecksum: 'optional',
  furtherBlocks: 'optional',
  blocks: 'optional',
  timeline: 'optional',
  lsn: 'optional',
  range: 'optional',
  segment: 'optional',
  lastSegment: 'optional',
  offset: 'optional',
  archive: 'optional',
  otherArchive: 'optional',
  member: 'optional',
  target: 'optional',
  systemIdentifier: 'optional',
  errorCode: 'optional',
  signaturePath: 'optional',
  keyType: 'optional',
  fingerprint: 'optional',
} as const satisfies PresenceOf<Problem>

const optionKeys = {
  jobs: 'required',
  ignore: 'required',
  exitOnError: 'required',
  skipChecksums: 'required',
  pageChecksums: 'required',
  noParseWal: 'required',
  partialWal: 'required',
  maxRate: 'optional',
  maxAgeSeconds: 'optional',
  subset: 'optional',
  checksums: 'optional',
  manifestPath: 'optional',
  walDirectory: 'optional',
  allowedSigners: 'optional',
  signerIdentity: 'optional',
  signaturePath: 'optional',
  archive: 'optional',
  fetchCommand: 'optional',
} as const satisfies PresenceOf<ReportedOptions>

const backupKeys = {
  label: 'required',
  startTime: 'required',
  startTimeUtc: 'required',
  takenFrom: 'required',
  startLsn: 'required',
  startTimeline: 'required',
  incrementalFrom: 'required',
  serverMajorVersion: 'required',
  systemIdentifier: 'required',
} as const satisfies PresenceOf<BackupFacts>

const secondsKeys = {
  manifest: 'required',
  scan: 'required',
  checksums: 'required',
  cluster: 'required',
  wal: 'required',
  total: 'required',
} as const satisfies PresenceOf<Record<VerifyStep | 'total', number>>

const pagesKeys = {
  checked: 'required',
  mismatched: 'required',
  newer: 'required',
  replayed: 'required',
} as const satisfies PresenceOf<CheckedPages>

const warningKeys = {
  kind: 'required',
  path: 'required',
  message: 'required',
} as const satisfies PresenceOf<Warning>

const signatureKeys = {
  path: 'required',
  signer: 'required',
  keyType: 'required',
  fingerprint: 'required',
  namespace: 'required',
} as const satisfies PresenceOf<GoodSignature>

const signedReportKeys = {
  reportVersion: 'required',
  pbmanifestVersion: 'required',
  host: 'required',
  startedAt: 'required',
  endedAt: 'required',
  report: 'required',
  path: 'required',
  verdict: 'required',
  signature: 'required',
  problems: 'required',
} as const satisfies PresenceOf<SignedReportCheck>

const signatureProblemKeys = {
  kind: 'required',
  message: 'required',
  detail: 'required',
  signaturePath: 'optional',
  keyType: 'optional',
  fingerprint: 'optional',
} as const satisfies PresenceOf<SignatureProblem>

const notCheckedKeys = {
  what: 'required',
  why: 'required',
  paths: 'optional',
  count: 'optional',
} as const satisfies PresenceOf<NotChecked>

const backupsKeys = {
  reportVersion: 'required',
  pbmanifestVersion: 'required',
  host: 'required',
  startedAt: 'required',
  endedAt: 'required',
  verdict: 'required',
  counts: 'required',
  backups: 'required',
} as const satisfies PresenceOf<BackupsReport>

const outcomeCountKeys = {
  failed: 'required',
  error: 'required',
  partial: 'required',
  sampled: 'required',
  verified: 'required',
} as const satisfies PresenceOf<Record<OutcomeVerdict, number>>

const outcomeKeys = {
  directory: 'required',
  report: 'optional',
  error: 'optional',
} as const satisfies Record<
  BackupOutcome extends infer One ? (One extends unknown ? keyof One : never) : never,
  Presence
>

const errorKeys = {
  code: 'required',
  message: 'required',
  details: 'required',
  hint: 'required',
} as const satisfies PresenceOf<VerificationError>

const chainKeys = {
  reportVersion: 'required',
  pbmanifestVersion: 'required',
  host: 'required',
  startedAt: 'required',
  endedAt: 'required',
  verdict: 'required',
  combine: 'required',
  problems: 'required',
  backups: 'required',
  notChecked: 'required',
} as const satisfies PresenceOf<ChainReport>

const chainProblemKeys = {
  kind: 'required',
  directory: 'required',
  message: 'required',
  path: 'optional',
  encodedPath: 'optional',
  previousDirectory: 'optional',
  systemIdentifier: 'optional',
  catalogVersion: 'optional',
  startTimeline: 'optional',
  startLsn: 'optional',
} as const satisfies PresenceOf<ChainProblem>

const chainNotCheckedKeys = {
  what: 'required',
  why: 'required',
} as const satisfies PresenceOf<ChainNotChecked>

const sealKeys = {
  'Fragment-Version': 'required',
  'Backup-Id': 'required',
  Worker: 'required',
  Files: 'required',
  Bytes: 'required',
  'Fragment-Checksum': 'required',
} as const satisfies PresenceOf<FragmentSealJson>

const fileKeys = {
  Path: 'optional',
  'Encoded-Path': 'optional',
  Size: 'required',
  'Last-Modified': 'required',
  'Checksum-Algorithm': 'optional',
  Checksum: 'optional',
} as const satisfies PresenceOf<ManifestFileJson>

test.each([
  { what: 'a report', node: report, keys: reportKeys },
  { what: "a report's manifest", node: manifest, keys: manifestKeys },
  { what: "a report's WAL range", node: manifest?.properties?.['walRanges']?.items, keys: walRangeKeys },
  { what: 'a problem', node: problem, keys: problemKeys },
  { what: 'the options', node: report.$defs?.['options'], keys: optionKeys },
  { what: 'what a backup says of itself', node: report.$defs?.['backup'], keys: backupKeys },
  { what: "a report's seconds", node: report.properties?.['seconds'], keys: secondsKeys },
  { what: "a report's pages", node: report.properties?.['pages'], keys: pagesKeys },
  { what: 'what was not checked', node: notChecked, keys: notCheckedKeys },
  { what: 'a warning', node: warning, keys: warningKeys },
  { what: 'a signature', node: report.$defs?.['signature'], keys: signatureKeys },
  { what: 'the check of a signed report', node: signedReport, keys: signedReportKeys },
  { what: 'a problem of a signed report', node: signedReportProblem, keys: signatureProblemKeys },
  { what: 'a report of several backups', node: several, keys: backupsKeys },
  { what: 'their number by verdict', node: several.properties?.['counts'], keys: outcomeCountKeys },
  { what: 'what came of one of several', node: several.properties?.['backups']?.items, keys: outcomeKeys },
  { what: 'why there is no report', node: schema('error').properties?.['error'], keys: errorKeys },
  { what: 'a report of a chain', node: chain, keys: chainKeys },
  { what: 'a problem of a chain', node: chainProblem, keys: chainProblemKeys },
  { what: 'what was not checked of a chain', node: chainNotChecked, keys: chainNotCheckedKeys },
  { what: 'a seal of a fragment', node: schema('fragment-seal'), keys: sealKeys },
  { what: 'a line of a fragment', node: schema('manifest-file'), keys: fileKeys },
])('$what has the same keys in its schema and in its type', ({ node = {}, keys }) => {
  expect(presenceIn(node)).toEqual(keys)
  expect(node.additionalProperties).toBe(false)
})

const notCheckedWords = {
  'file-checksums': true,
  'files-without-checksum': true,
  'ignored-paths': true,
  'unseen-files': true,
  'needed-directories': true,
  'empty-directories': true,
  'files-written-later': true,
  'other-wal-files': true,
  'other-manifest': true,
  'reading-again': true,
  'unchanged-files': true,
  'files-left-for-later': true,
  'stored-bytes': true,
  'control-file': true,
  'backup-label': true,
  wal: true,
  'wal-records': true,
  'page-checksums': true,
  'incremental-files': true,
  'earlier-backups': true,
  'after-first-problem': true,
} as const satisfies Record<NotChecked['what'], true>

const chainNotCheckedWords = {
  'control-file': true,
  'timeline-history': true,
  'after-first-problem': true,
} as const satisfies Record<ChainNotChecked['what'], true>

const combineWords = {
  safe: true,
  unsafe: true,
  unknown: true,
} as const satisfies Record<ChainReport['combine'], true>

const verdicts = { verified: true, failed: true, partial: true, sampled: true } as const satisfies Record<
  VerifyReport['verdict'],
  true
>

const algorithms = {
  CRC32C: true,
  SHA224: true,
  SHA256: true,
  SHA384: true,
  SHA512: true,
} as const satisfies Record<NonNullable<ManifestFileJson['Checksum-Algorithm']>, true>

test.each([
  { what: 'kinds of warning', node: warning?.properties?.['kind'], words: [...warningKinds] },
  { what: 'kinds of problem', node: report.$defs?.['problemKind'], words: [...problemKinds] },
  {
    what: 'what was not checked',
    node: notChecked?.properties?.['what'],
    words: Object.keys(notCheckedWords),
  },
  {
    what: 'kinds of problem of a signature',
    node: signedReportProblem?.properties?.['kind'],
    words: [...signatureProblemKinds],
  },
  {
    what: 'kinds of problem of a chain',
    node: chainProblem?.properties?.['kind'],
    words: [...chainProblemKinds],
  },
  {
    what: 'what was not checked of a chain',
    node: chainNotChecked?.properties?.['what'],
    words: Object.keys(chainNotCheckedWords),
  },
  { what: 'whether to combine', node: chain.properties?.['combine'], words: Object.keys(combineWords) },
  { what: 'what came of several', node: several.properties?.['verdict'], words: [...outcomeVerdicts] },
  { what: 'verdicts', node: report.properties?.['verdict'], words: Object.keys(verdicts) },
  {
    what: 'checksum algorithms',
    node: schema('manifest-file').properties?.['Checksum-Algorithm'],
    words: Object.keys(algorithms),
  },
])('the words for $what are the same in schema and type', ({ node, words }) => {
  expect(node?.enum?.toSorted()).toEqual(words.toSorted())
})

test('the lists of words are those of the types', () => {
  const kinds = Object.fromEntries(problemKinds.map((kind) => [kind, 0])) satisfies Partial<
    Record<ProblemKind, number>
  >
  expect(Object.keys(kinds)).toHaveLength(problemKinds.length)
  expect([...verifySteps, 'total'].toSorted()).toEqual(Object.keys(secondsKeys).toSorted())
})
