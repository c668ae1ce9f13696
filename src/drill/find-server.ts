import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { PbManifestError } from '../errors.js'
import { displayPathname } from '../files/pathname.js'

const run = promisify(execFile)

/** Who runs a server. */
export interface ServerUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** A server's programs. */
export interface ServerPrograms {
  readonly bindir: string
  /** As `postgres --version` has it: `15.14 (Debian 15.14-0+deb12u1)`. */
  readonly version: string
}

/**
 * Finds the programs of a server of this major version.
 *
 * @param bindir - `undefined`: where packages put them, then in `path`
 * @throws {@link PbManifestError} `USAGE` when there are none, or they are of another version
 */
export async function findServerPrograms(
  major: number,
  bindir: string | undefined,
  path: string,
): Promise<ServerPrograms> {
  if (bindir !== undefined) return await requireMajor(resolve(bindir), major)
  const usual = [`/usr/lib/postgresql/${major}/bin`, `/usr/pgsql-${major}/bin`]
  const found = [...usual, ...path.split(delimiter)].filter(
    (directory) => directory !== '' && existsSync(join(directory, 'postgres')),
  )
  for (const directory of found) {
    const version = await versionIn(directory).catch(() => undefined)
    if (version !== undefined && majorOf(version) === major) return { bindir: directory, version }
  }
  throw new PbManifestError('USAGE', `no server of PostgreSQL ${major} was found`, {
    hint: 'Say with --bindir=DIRECTORY where its programs are.',
  })
}

async function requireMajor(bindir: string, major: number): Promise<ServerPrograms> {
  const version = await versionIn(bindir)
  if (majorOf(version) === major) return { bindir, version }
  throw new PbManifestError(
    'USAGE',
    `"${displayPathname(bindir)}" has PostgreSQL ${version}, but the backup is of PostgreSQL ${major}`,
    { hint: 'A server starts on data of its own major version only.' },
  )
}

async function versionIn(bindir: string): Promise<string> {
  const program = join(bindir, 'postgres')
  try {
    const { stdout } = await run(program, ['--version'], { encoding: 'utf8' })
    const version = /\(PostgreSQL\) (.+)/.exec(stdout)?.[1]
    if (version !== undefined) return version.trim()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PbManifestError('USAGE', `could not run "${displayPathname(program)}": ${reason}`, { cause })
  }
  throw new PbManifestError('USAGE', `"${displayPathname(program)}" is no server of PostgreSQL`)
}

function majorOf(version: string): number {
  return Number(/^\d+/.exec(version)?.[0])
}

/**
 * Who is to run the server.
 *
 * @param as - a name; needed by root, of no use to anybody else
 * @returns `undefined`: ourselves
 * @throws {@link PbManifestError} `USAGE`
 */
export async function findServerUser(as: string | undefined): Promise<ServerUser | undefined> {
  const isRoot = process.getuid?.() === 0
  if (as === undefined) {
    if (!isRoot) return undefined
    throw new PbManifestError('USAGE', 'a server of PostgreSQL cannot be run as root', {
      hint: 'Say with --as=USER who is to run it: postgres, say, or nobody.',
    })
  }
  const user = await lookUp(as)
  if (user === undefined) throw new PbManifestError('USAGE', `there is no user "${as}"`)
  if (user.uid === 0) throw new PbManifestError('USAGE', 'a server of PostgreSQL cannot be run as root')
  if (isRoot) return user
  if (user.uid === process.getuid?.()) return undefined
  throw new PbManifestError('USAGE', `only root can run a server as "${as}"`)
}

async function lookUp(name: string): Promise<ServerUser | undefined> {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  const line = lines.find((each) => each.startsWith(`${name}:`)) ?? (await askForUser(name))
  const [, , uid, gid] = line?.split(':') ?? []
  return uid === undefined || gid === undefined ? undefined : { name, uid: Number(uid), gid: Number(gid) }
}

/** Users need not stand in the file. */
async function askForUser(name: string): Promise<string | undefined> {
  try {
    return (await run('getent', ['passwd', '--', name], { encoding: 'utf8' })).stdout.trim()
  } catch {
    return undefined
  }
}
