import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { benchAgent } from './bench-agent.js'
import { type BackupBench, backupCases } from './bench-backup.js'
import { benchCombine, benchIncrementalBackup } from './bench-combine.js'
import { benchFleet } from './bench-fleet.js'
import { storeCases } from './bench-store.js'
import { benchManifest, benchMerge } from './bench-merge.js'
import { type VerifyBench, verifyCases } from './bench-verify.js'
import { benchWal, type WalBench } from './bench-wal.js'
import { makeBackup } from './make-backup.js'
import { findPeers } from './peers.js'
import { printHead } from './table.js'

/**
 * pbmanifest beside PostgreSQL's own programs, in turn on the same machine: `npm run bench -- --help`.
 * How to read it, and figures: docs/performance.md.
 */

const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    peer: { type: 'string', multiple: true, default: [] },
    backup: { type: 'string' },
    bytes: { type: 'string', default: '3.8e9' },
    files: { type: 'string', default: '60000' },
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '70' },
    only: { type: 'string', default: '' },
    wal: { type: 'string' },
    'wal-bytes': { type: 'string', default: '1e9' },
  },
})

type AllBench = VerifyBench & WalBench & BackupBench

const cases: Readonly<Record<string, (bench: AllBench) => Promise<void>>> = {
  ...verifyCases,
  ...storeCases,
  merge: benchMerge,
  manifest: benchManifest,
  wal: benchWal,
  ...backupCases,
  agent: benchAgent,
  combine: benchCombine,
  'incremental-backup': benchIncrementalBackup,
  fleet: benchFleet,
}

const usage = `npm run bench -- [--peer=DIR]... [--backup=DIR] [--bytes=3.8e9] [--files=60000] [--rounds=5] [--scale=70]
                   [--only=CASE,...] [--wal=DIR] [--wal-bytes=1e9]
  --peer    programs of a PostgreSQL to be measured beside, as well as Debian's 15; the newest one counts
  --backup  a backup in plain format with a CRC32C manifest that all peers can read; default: one is made
  --wal     where WAL is kept for later runs, or was kept by an earlier one
  --scale   of pgbench, for the cases of backup, incremental backup and combine: 15 MB each
  cases: ${Object.keys(cases).join(' ')}
`

async function main(scratch: string): Promise<void> {
  const peers = findPeers(values.peer)
  const shape = { files: Number(values.files), bytes: Number(values.bytes), checksumAlgorithm: 'CRC32C' }
  let made: Promise<string> | undefined
  const makeOnce = async (): Promise<string> => {
    process.stderr.write('making a backup; this takes a minute\n')
    return (await makeBackup(shape, peers)).directory
  }
  const bench: AllBench = {
    scratch,
    cli: fileURLToPath(new URL('../../dist/program/main.js', import.meta.url)),
    rounds: Number(values.rounds),
    scale: Number(values.scale),
    peers,
    print: (line) => void process.stdout.write(`${line}\n`),
    shape,
    backupDirectory: async () => values.backup ?? (await (made ??= makeOnce())),
    walDirectory: values.wal ?? join(scratch, 'wal'),
    walBytes: Number(values['wal-bytes']),
  }
  const names = Object.keys(cases)
  const wanted = values.only === '' ? names : values.only.split(',').flatMap((name) => casesOf(name, names))
  printHead(bench)
  for (const name of wanted) {
    const run = cases[name]
    if (run === undefined) throw new Error(`no case "${name}"\n${usage}`)
    await run(bench)
  }
}

/** `store` is all of `store-large` and so on. */
function casesOf(name: string, names: readonly string[]): readonly string[] {
  const parts = names.filter((other) => other.startsWith(`${name}-`))
  return names.includes(name) || parts.length === 0 ? [name] : parts
}

if (values.help === true) {
  process.stdout.write(usage)
} else {
  const scratch = mkdtempSync(join(tmpdir(), 'pbmanifest-bench-'))
  try {
    await main(scratch)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
