import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runCommandLine } from '../../cli/run-command-line.js'
import type { BackupCopy } from '../../helpers/copy-backup.js'
import type { PlainBackup } from '../../helpers/plain-backup.js'
import { realBackup } from '../../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../../helpers/requires.js'
import { mustRun } from '../../helpers/run-program.js'
import { BUCKET, type ObjectStore, startStore } from '../../helpers/stores/object-store.js'
import { twoTimelinesBackup } from '../../helpers/two-timelines.js'
import { forgeManifest, largestFile, listedFiles, takeFrom } from '../damage.js'
import { linkedCopy } from '../linked-copy.js'
import {
  content,
  control,
  kinds,
  manifests,
  options,
  presence,
  type Row,
  small,
  walRows,
} from '../oracle-rows.js'

const limit = 240_000

const onlyFiles = 'an object is a file: nobody copies anything else into a store'
const noLinks = 'what copies into a store follows a link, or leaves it out'
const noDirectories = 'a store has no empty directories; that is told as not checked'
const noModes = 'a store has rights of its own, and no modes of files'

/** Rows of damage that cannot be in a store, and why. */
const notInStores: Readonly<Record<string, string>> = {
  'a missing empty directory': noDirectories,
  'whose directory is missing': noDirectories,
  'that lies elsewhere, and no directory for it': noDirectories,
  'that is a directory': noDirectories,
  'with a segment replaced by a directory': noDirectories,
  'a file replaced by a FIFO': onlyFiles,
  'a file replaced by a socket': onlyFiles,
  'PG_VERSION replaced by a FIFO': onlyFiles,
  'pg_control replaced by a FIFO': onlyFiles,
  'backup_label replaced by a FIFO': onlyFiles,
  'a FIFO that is extra': onlyFiles,
  '-i for what is not a file': onlyFiles,
  '-i for PG_VERSION and pg_control, both replaced by FIFOs': onlyFiles,
  'a tablespace directory that is gone': noLinks,
  'a file replaced by a link to a device': noLinks,
  'a file replaced by a broken link': noLinks,
  'a file replaced by a link to itself': noLinks,
  'a link that leads back to the top': noLinks,
  'two links that lead to each other': noLinks,
  'a chain of 41 links': noLinks,
  'with a segment replaced by a broken link': noLinks,
  'directories deeper than a path may be long': noDirectories,
  'an unreadable file': noModes,
  'an unreadable directory': noModes,
  'a directory that may be listed but not entered': noModes,
  'unreadable PG_VERSION': noModes,
  'unreadable pg_control': noModes,
  'an unreadable manifest': noModes,
  'an unreadable directory of WAL': noModes,
  'a backup that is read-only': noModes,
  'with an unreadable segment': noModes,
  '-i for an unreadable directory': noModes,
  '-s with unreadable pg_control': noModes,
}

const foreign = (otherCluster: () => PlainBackup): readonly Row[] => [
  { name: 'pg_control of another cluster', damage: (b) => takeFrom(otherCluster(), b, control) },
  {
    name: 'pg_control of another cluster, and no WAL to compare',
    damage: (b) => takeFrom(otherCluster(), b, control),
    arguments: () => ['-n'],
  },
  { name: 'backup_label of another cluster', damage: (b) => takeFrom(otherCluster(), b, 'backup_label') },
]

describeWithDebianPostgres('a backup in an object store has the verdict that it has on disk:', (programs) => {
  let store: ObjectStore
  let original: BackupCopy
  let otherCluster: PlainBackup
  /** What is in the store, by the identity of the file that it was. */
  const stored = new Map<string, string>()

  beforeAll(async () => {
    store = await startStore('fauxqs')
    otherCluster = await twoTimelinesBackup(programs)
    original = await fewerFiles(await linkedCopy(await realBackup(programs)))
    await mirror(original.directory)
  }, limit)

  afterAll(async () => {
    original.remove()
    await store.close()
  })

  /** Has the store hold what a directory holds. */
  async function mirror(directory: string): Promise<void> {
    const files = new Map(filesIn(directory, ''))
    for (const key of stored.keys()) {
      if (files.has(key)) continue
      await store.remove(`backup/${key}`)
      stored.delete(key)
    }
    for (const [key, identity] of files) {
      if (stored.get(key) === identity) continue
      await store.put(`backup/${key}`, readFileSync(join(directory, key)))
      stored.set(key, identity)
    }
  }

  /** Status and problems; not how long it took, and what to do about them. */
  async function verdict(args: readonly string[], place: string): Promise<unknown> {
    const { status, stderr } = await runCommandLine(['verify', '-j1', ...args, place], store.env)
    const said = stderr
      .replaceAll(place, 'PLACE')
      .replace('No such object', 'No such file or directory')
      .split('\n')
      .filter((line) => !/^pbmanifest: (?:[0-9]+ of [0-9]+ files, |hint: )/.test(line))
    return { status, said }
  }

  const rows = [
    ...presence,
    ...content,
    ...kinds,
    ...manifests,
    ...walRows,
    ...options,
    ...foreign(() => otherCluster),
  ]

  test('all rows but those that cannot be in a store', () => {
    const names = new Set(rows.map(({ name }) => name))
    expect(Object.keys(notInStores).filter((name) => !names.has(name))).toEqual([])
  })

  test.each(rows.filter(({ name }) => notInStores[name] === undefined))('$name', async (row) => {
    const backup = await linkedCopy(original)
    try {
      await row.damage(backup)
      await mirror(backup.directory)
      const args = row.arguments?.(backup) ?? []
      const onDisk = await verdict(args, backup.directory)
      expect(await verdict(args, `s3://${BUCKET}/backup`)).toEqual(onDisk)
    } finally {
      backup.remove()
    }
  })
})

/** Only as many files as the rows need: each is an object. */
async function fewerFiles(backup: BackupCopy): Promise<BackupCopy> {
  const files = await listedFiles(backup)
  const kept = new Set([await largestFile(backup, 'base/'), small, control, 'base/1/PG_VERSION'])
  for (const [index, { pathname, size }] of files.entries()) {
    const isOfMany = /^(?:base|global|pg_xact|pg_multixact)\//.test(pathname)
    const isOne = index % 40 === 0 || (size === 8192 && kept.size < 40)
    if (!pathname.startsWith('odd') && (!isOfMany || isOne)) kept.add(pathname)
  }
  const empty = files.find(({ pathname, size }) => size === 0 && pathname.startsWith('base/1/'))
  if (empty !== undefined) kept.add(empty.pathname)
  await forgeManifest(backup, (text) => {
    const lines = text.split('\n')
    const start = lines.indexOf('"Files": [') + 1
    const end = lines.indexOf('],', start)
    const listed = lines
      .slice(start, end)
      .filter((line) => kept.has(/"Path": "([^"\\]+)"/.exec(line)?.[1] ?? ''))
    listed[listed.length - 1] = listed.at(-1)?.replace(/,$/, '') ?? ''
    return [...lines.slice(0, start), ...listed, ...lines.slice(end)].join('\n')
  })
  for (const { pathname } of files) {
    if (!kept.has(pathname)) rmSync(join(backup.directory, pathname), { force: true })
  }
  // Not all of their names are UTF-8, as keys are.
  await mustRun('sh', ['-c', 'rm -rf "$1"/odd*', 'sh', backup.directory])
  return backup
}

/** Through links, as the programs that copy into stores go. */
function* filesIn(directory: string, prefix: string): Generator<[string, string]> {
  for (const name of readdirSync(join(directory, prefix))) {
    const path = `${prefix}${name}`
    const stats = statSync(join(directory, path), { throwIfNoEntry: false })
    if (stats?.isDirectory() === true) yield* filesIn(directory, `${path}/`)
    else if (stats?.isFile() === true) yield [path, `${stats.ino}:${stats.size}:${stats.mtimeMs}`]
  }
}
