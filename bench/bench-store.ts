import { spawn } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { everNeededDirectories } from '../src/postgres/data-directory.js'
import { ours, recordDirectory, type VerifyBench } from './bench-verify.js'
import { measure, type Subject } from './measure.js'
import { peersWith, programOf } from './peers.js'
import { printRows, type Wanted } from './table.js'

const BUCKET = 'backups'

/**
 * So many programs fetch so many files at a time each; `aws s3 cp` takes 10, and 7 ms of the processor for each. One curl that is
 * told of 60,000 took 40 s.
 */
const DOWNLOADERS = 4
const DOWNLOADS = 16
/** No curl is told of more. */
const MOST_URLS = 1000

/** One large object for so many small ones. */
const MANY_FOR_ONE = 60

/** Late as a store in the same region is. */
const LATENCY_MS = 20

type StoreCase = (bench: VerifyBench, files: Files) => Promise<void>

const read: StoreCase = async (bench, files) => {
  for (const delay of [0, LATENCY_MS]) await compareWithDownload(bench, files, delay)
}

/**
 * The cases of `pbmanifest verify s3://`: beside a download by many connections and `pg_verifybackup` of what came, from a store on this
 * machine, in a process of its own.
 */
export const storeCases: Readonly<Record<string, (bench: VerifyBench) => Promise<void>>> = {
  'store-large': (bench) => withFiles(bench, Math.ceil(bench.shape.files / MANY_FOR_ONE), read),
  'store-many': (bench) => withFiles(bench, bench.shape.files, read),
  'store-checksums': (bench) => withFiles(bench, bench.shape.files, compareStored),
}

async function withFiles(bench: VerifyBench, count: number, use: StoreCase): Promise<void> {
  const files = makeFiles(bench, count)
  try {
    await use(bench, files)
  } finally {
    rmSync(files.directory, { recursive: true })
  }
}

interface Files {
  readonly directory: string
  /** Relative, with the manifest. */
  readonly names: readonly string[]
}

/** Files of random bytes, all of one size, with a manifest. */
function makeFiles(bench: VerifyBench, count: number): Files {
  const directory = join(bench.scratch, `objects-${count}`)
  for (const name of [...everNeededDirectories, 'base/5'])
    mkdirSync(join(directory, name), { recursive: true })
  const block = randomFillSync(Buffer.alloc(Math.round(bench.shape.bytes / count)))
  const names = Array.from({ length: count }, (_, index) => `base/5/${16384 + index}`)
  for (const name of names) writeFileSync(join(directory, name), block)
  writeFileSync(join(directory, 'PG_VERSION'), '15\n')
  renameSync(recordDirectory(bench, directory, 'CRC32C'), join(directory, 'backup_manifest'))
  return { directory, names: ['backup_manifest', 'PG_VERSION', ...names] }
}

async function compareWithDownload(
  bench: VerifyBench,
  { directory, names }: Files,
  delay: number,
): Promise<void> {
  const count = names.length
  const name = `s3://, ${count} objects${delay === 0 ? '' : `, ${delay} ms for each request`}`
  const [peer] = peersWith(bench.peers, 'pg_verifybackup')
  const copy = join(bench.scratch, 'copy')
  const lists = join(bench.scratch, 'curl')
  const removeCopy = (): void => rmSync(copy, { recursive: true, force: true })
  await withServer(directory, delay, async (server) => {
    const each = Math.min(MOST_URLS, Math.ceil(count / DOWNLOADERS))
    rmSync(lists, { recursive: true, force: true })
    mkdirSync(lists)
    for (let first = 0; first < count; first += each) {
      const entries = names
        .slice(first, first + each)
        .map((key) => `url = "${server.url}/${BUCKET}/${key}"\noutput = "${copy}/${key}"\n`)
      writeFileSync(join(lists, String(first)), entries.join(''))
    }
    const curl = `curl -sS --fail --no-progress-meter -Z --parallel-immediate --parallel-max ${DOWNLOADS} --create-dirs`
    const script = `ls -d "$1"/* | xargs -P ${DOWNLOADERS} -n 1 ${curl} -K && "$2" -q -n "$3"`
    const download: Subject = {
      name: `${DOWNLOADERS} curl -Z, pg_verifybackup ${peer.version}`,
      command: ['/bin/sh', '-c', script, 'sh', lists, programOf(peer, 'pg_verifybackup'), copy],
    }
    const pair = { name, ours: verifyStored(bench, server), beside: download }
    await compare(bench, pair, server, { wall: '0.50' }, removeCopy)
  })
  removeCopy()
}

/** What the store keeps, beside reading all of it. */
async function compareStored(bench: VerifyBench, { directory, names }: Files): Promise<void> {
  await withServer(directory, LATENCY_MS, async (server) => {
    const name = `s3://, checksums of ${names.length} objects, ${LATENCY_MS} ms for each request`
    const stored = verifyStored(bench, server, '--checksums=stored')
    await compare(bench, { name, ours: stored, beside: verifyStored(bench, server) }, server, { wall: '5 s' })
  })
}

async function compare(
  bench: VerifyBench,
  pair: { readonly name: string; readonly ours: Subject; readonly beside: Subject },
  server: StoreProcess,
  wanted: Wanted,
  before: () => void = () => {},
): Promise<void> {
  const counts: string[] = []
  for (const subject of [pair.ours, pair.beside]) {
    before()
    await measure(subject)
    const { requests, bytes } = await server.counts()
    counts.push(`${subject.name}: ${requests} requests, ${(bytes / 1e9).toFixed(2)} GB`)
  }
  const rounds = Math.min(bench.rounds, 3)
  await printRows(bench, { name: pair.name, ours: pair.ours, beside: [pair.beside], rounds, wanted, before })
  bench.print(`${pair.name}: ${counts.join('; ')}`)
}

function verifyStored(bench: VerifyBench, { url }: StoreProcess, ...more: readonly string[]): Subject {
  const env = {
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench',
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL: url,
  }
  return {
    ...ours(bench, ['pbmanifest', ...more].join(' '), 'verify', '-q', '-n', ...more, `s3://${BUCKET}`),
    env,
  }
}

interface StoreProcess {
  readonly url: string
  readonly counts: () => Promise<{ readonly requests: number; readonly bytes: number }>
}

async function withServer(
  directory: string,
  delay: number,
  use: (server: StoreProcess) => Promise<void>,
): Promise<void> {
  const program = fileURLToPath(new URL('store-server.js', import.meta.url))
  const child = spawn(process.execPath, [program, directory, String(delay)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  try {
    const [port] = (await once(child.stdout, 'data')) as [Buffer]
    const url = `http://127.0.0.1:${port.toString().trim()}`
    await use({
      url,
      counts: async () =>
        (await (await fetch(`${url}/counts`)).json()) as { requests: number; bytes: number },
    })
  } finally {
    child.kill()
    await closed
  }
}
