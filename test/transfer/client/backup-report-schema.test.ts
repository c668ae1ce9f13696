import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  type BackedUpTablespace,
  type BackupReport,
  type BackupStep,
  type Bottleneck,
  bottlenecks,
  backupSteps,
  type IncrementalReport,
  type WorkerReport,
} from '../../../src/transfer/client/report.js'
import { activities, type Activity } from '../../../src/transfer/client/worker-counters.js'
import type { VerifyReport } from '../../../src/verify/report.js'

/** What is looked at of a schema, at any depth. */
interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
  readonly enum?: readonly unknown[]
  readonly additionalProperties?: unknown
}

const file = new URL('../../../schemas/backup-report.schema.json', import.meta.url)
const schema = JSON.parse(readFileSync(file, 'utf8')) as SchemaNode

/** A type with a key more or less does not compile. */
type KeysOf<Type> = Record<keyof Type, true>

const reportKeys = {
  reportVersion: true,
  pbmanifestVersion: true,
  host: true,
  startedAt: true,
  endedAt: true,
  directory: true,
  format: true,
  compression: true,
  path: true,
  backupId: true,
  systemIdentifier: true,
  serverMajorVersion: true,
  fromStandby: true,
  startLsn: true,
  startTimeline: true,
  endLsn: true,
  endTimeline: true,
  tablespaces: true,
  files: true,
  bytes: true,
  filesVanished: true,
  incremental: true,
  wal: true,
  manifest: true,
  jobs: true,
  workers: true,
  bottleneck: true,
  shares: true,
  seconds: true,
  verification: true,
} as const satisfies KeysOf<BackupReport & { verification: VerifyReport | null }>

const tablespaceKeys = {
  oid: true,
  location: true,
  directory: true,
} as const satisfies KeysOf<BackedUpTablespace>
const workerKeys = {
  worker: true,
  files: true,
  bytes: true,
  reconnects: true,
  seconds: true,
} as const satisfies KeysOf<WorkerReport>
const walKeys = { method: true, bytes: true } as const satisfies KeysOf<BackupReport['wal']>
const manifestKeys = { path: true, bytes: true } as const satisfies KeysOf<
  NonNullable<BackupReport['manifest']>
>
const incrementalKeys = {
  manifest: true,
  fromLsn: true,
  fromTimeline: true,
  files: true,
  blocks: true,
  bytesSaved: true,
} as const satisfies KeysOf<IncrementalReport>
const shareKeys = Object.fromEntries(bottlenecks.map((name) => [name, true])) as KeysOf<
  Record<Bottleneck, number>
>
const activityKeys = Object.fromEntries(activities.map((name) => [name, true])) as KeysOf<
  Record<Activity, number>
>
const stepKeys = Object.fromEntries([...backupSteps, 'total'].map((name) => [name, true])) as KeysOf<
  Record<BackupStep | 'total', number>
>

const { properties = {} } = schema
const worker = properties['workers']?.items

test.each([
  { what: 'a report', node: schema, keys: reportKeys },
  { what: 'a tablespace', node: properties['tablespaces']?.items, keys: tablespaceKeys },
  { what: 'the WAL', node: properties['wal'], keys: walKeys },
  { what: 'the manifest', node: properties['manifest']?.anyOf?.[0], keys: manifestKeys },
  { what: 'what is incremental', node: properties['incremental']?.anyOf?.[0], keys: incrementalKeys },
  { what: 'a worker', node: worker, keys: workerKeys },
  { what: "a worker's seconds", node: worker?.properties?.['seconds'], keys: activityKeys },
  { what: 'the shares', node: properties['shares'], keys: shareKeys },
  { what: 'the seconds', node: properties['seconds'], keys: stepKeys },
])('$what has the same keys in its schema and in its type', ({ node = {}, keys }) => {
  expect(Object.keys(node.properties ?? {}).toSorted()).toEqual(Object.keys(keys).toSorted())
  expect(node.required?.toSorted()).toEqual(Object.keys(keys).toSorted())
  expect(node.additionalProperties).toBe(false)
})

test('the words for bottlenecks are the same in schema and type', () => {
  expect(properties['bottleneck']?.enum).toEqual([...bottlenecks])
})
