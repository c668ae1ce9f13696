import { spawn } from 'node:child_process'
import { closeSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PbManifestError } from '../errors.js'
import { NotARegularFileError, openRegularFile } from '../files/open-regular-file.js'
import { displayPathname } from '../files/pathname.js'
import { ioError } from '../files/system-error.js'
import { throwIfAborted } from '../files/yielder.js'
import type { DrillCheck } from './report.js'
import { CheckNotDone, describeError, Findings, type RunningServer, withClient } from './running-server.js'
import { drillPort, sessionOptions } from './server-settings.js'

/**
 * Runs a file of SQL: by psql where the server has it, else as it stands.
 *
 * @throws {@link CheckNotDone}, {@link PbManifestError} `IO`
 */
export async function checkBySql(server: RunningServer, file: string): Promise<DrillCheck> {
  const findings = new Findings()
  findings.objects = 1
  const { database } = server
  const psql = join(server.programs.bindir, 'psql')
  if (existsSync(psql)) {
    const { status, said } = await runPsql(psql, server, file)
    // @see src/bin/psql/settings.h: 1 is a failure of its own, 2 a lost connection, 3 an error in the script.
    if (status === 1 || status === undefined)
      throw new CheckNotDone(`psql failed: ${said.at(-1) ?? 'it said nothing'}`)
    if (status !== 0) findings.add({ database, message: said.join('\n') })
    return findings.conclude('sql')
  }
  await withClient(server, database, async (client) => {
    try {
      await client.query(readSql(file))
    } catch (error) {
      findings.add({ database, message: describeError(error) })
    }
  })
  return findings.conclude('sql')
}

/** @throws {@link PbManifestError} `IO` when it cannot be read */
export function readSql(file: string): string {
  try {
    const { descriptor } = openRegularFile(file)
    try {
      return readFileSync(descriptor, 'utf8')
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    if (error instanceof NotARegularFileError) {
      throw new PbManifestError(
        'IO',
        `could not open file "${displayPathname(file)}": it is not a regular file`,
      )
    }
    throw ioError(`could not open file "${displayPathname(file)}"`, error)
  }
}

async function runPsql(
  psql: string,
  { socketDirectory, username, database, user, major, signal }: RunningServer,
  file: string,
): Promise<{ status: number | undefined; said: string[] }> {
  const { descriptor } = openRegularFile(file)
  try {
    const child = spawn(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
      cwd: '/',
      env: {
        PATH: '/usr/bin:/bin',
        LC_ALL: 'C.UTF-8',
        PGHOST: socketDirectory,
        PGPORT: String(drillPort),
        PGUSER: username,
        PGDATABASE: database,
        PGOPTIONS: sessionOptions(major),
      },
      stdio: [descriptor, 'ignore', 'pipe'],
      ...(user !== undefined && { uid: user.uid, gid: user.gid }),
    })
    const stop = (): void => void child.kill('SIGTERM')
    signal?.addEventListener('abort', stop)
    const chunks: Buffer[] = []
    child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk))
    const status = await new Promise<number | undefined>((resolve) => {
      child.on('error', () => resolve(undefined))
      child.on('close', (code) => resolve(code ?? undefined))
    })
    signal?.removeEventListener('abort', stop)
    throwIfAborted(signal)
    const said = Buffer.concat(chunks).toString('utf8').split('\n')
    return { status, said: said.filter((line) => line !== '').slice(-20) }
  } finally {
    closeSync(descriptor)
  }
}
