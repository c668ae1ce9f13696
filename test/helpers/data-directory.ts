import './servers-only.js'
import { chownSync, writeFileSync } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32c } from '../../src/postgres/crc32c.js'
import type { PostgresPrograms } from './postgres-programs.js'
import { copyTree, mustRun } from './run-program.js'
import { sharedFixture } from './shared-fixture.js'
import { unprivilegedUser } from './unprivileged-user.js'

/** The one role of a new cluster. */
export const superuser = 'postgres'

export interface DataDirectoryOptions {
  /** Whether data pages carry checksums. Default: the server's own (off in 15, on in 18). */
  readonly dataChecksums?: boolean
  /** Size of a WAL segment in MiB, a power of two. Default 16, the server's own. */
  readonly walSegmentMegabytes?: number
  /**
   * Whether there is the database `template0`, from which databases of other encodings are made. Default: no. It is a third of all
   * files, which every copy, backup and verification has to go through.
   */
  readonly hasTemplate0?: boolean
}

/**
 * Makes the data directory of a new cluster, with a system identifier of its own, as initdb does.
 *
 * initdb runs once per test run for the same programs and options; the rest are copies.
 */
export async function makeDataDirectory(
  directory: string,
  programs: PostgresPrograms,
  options: DataDirectoryOptions,
): Promise<void> {
  const { dataChecksums = programs.major >= 18, walSegmentMegabytes = 16, hasTemplate0 = false } = options
  const kind = `${hasTemplate0 ? 'template0-' : ''}${dataChecksums ? 'checksums-' : ''}${walSegmentMegabytes}`
  const template = await sharedFixture(`data${programs.bin.replaceAll('/', '_')}-${kind}`, async (parent) => {
    const user = unprivilegedUser()
    if (user !== undefined) chownSync(parent, user.uid, user.gid)
    await initialize(join(parent, 'data'), programs, options)
    if (!hasTemplate0) await dropTemplate0(join(parent, 'data'), programs)
  })
  await copyTree(join(template, 'data'), directory)
  await giveIdentity(directory)
}

async function initialize(
  directory: string,
  programs: PostgresPrograms,
  { dataChecksums, walSegmentMegabytes }: DataDirectoryOptions,
): Promise<void> {
  const initdb = programs.path('initdb')
  if (initdb === undefined) throw new Error(`no initdb in "${programs.bin}"`)
  await mustRun(
    initdb,
    [
      `--pgdata=${directory}`,
      `--username=${superuser}`,
      '--auth=trust',
      '--locale=C',
      '--encoding=UTF8',
      '--no-sync',
      ...(dataChecksums === true ? ['--data-checksums'] : []),
      // The option that says so came with the version that turned checksums on.
      ...(dataChecksums === false && programs.major >= 18 ? ['--no-data-checksums'] : []),
      ...(walSegmentMegabytes === undefined ? [] : [`--wal-segsize=${String(walSegmentMegabytes)}`]),
    ],
    { user: unprivilegedUser() },
  )
}

async function dropTemplate0(directory: string, programs: PostgresPrograms): Promise<void> {
  const postgres = programs.path('postgres')
  if (postgres === undefined) throw new Error(`no postgres in "${programs.bin}"`)
  const input = `${directory}.sql`
  writeFileSync(
    input,
    "UPDATE pg_database SET datistemplate = false WHERE datname = 'template0';\nDROP DATABASE template0;\n",
  )
  // It runs alone, in single-user mode, and has a status of 0 also when a statement fails.
  const args = ['--single', '-F', '-D', directory, 'postgres']
  const { stderr } = await mustRun(postgres, args, { user: unprivilegedUser(), input })
  if (/ERROR|FATAL/.test(stderr)) throw new Error(stderr)
}

/** Gives a cluster that was never started a new system identifier: in pg_control, and at the start of its WAL. */
async function giveIdentity(directory: string): Promise<void> {
  // The time of its birth and something else, as initdb makes it.
  const seconds = BigInt(Math.floor(Date.now() / 1000))
  const identifier = Buffer.alloc(8)
  identifier.writeBigUInt64LE((seconds << 32n) | BigInt(Math.floor(Math.random() * 2 ** 32)))

  await changeFile(join(directory, 'global', 'pg_control'), (bytes) => {
    const crcOffset = findCrc(bytes)
    identifier.copy(bytes)
    bytes.writeUInt32LE(crc32c(bytes, 0, crcOffset), crcOffset)
  })
  const names = await readdir(join(directory, 'pg_wal'))
  for (const segment of names.filter((name) => /^[0-9A-F]{24}$/.test(name))) {
    // XLogLongPageHeaderData: no CRC covers it.
    await changeFile(join(directory, 'pg_wal', segment), (bytes) => identifier.copy(bytes, 24))
  }
}

/** Where the CRC of a control file is: behind what it is of. */
function findCrc(bytes: Buffer): number {
  for (let offset = 200; offset < 512; offset += 4) {
    if (crc32c(bytes, 0, offset) === bytes.readUInt32LE(offset)) return offset
  }
  throw new Error('no CRC found in pg_control')
}

async function changeFile(path: string, change: (start: Buffer) => void): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const start = Buffer.alloc(512)
    await file.read(start, 0, start.length, 0)
    change(start)
    await file.write(start, 0, start.length, 0)
  } finally {
    await file.close()
  }
}
