import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodePathname, type Pathname, pathOf } from '../../../src/files/pathname.js'
import { formatCommand } from '../../../src/transfer/commands/commands.js'
import { oddPathnames } from '../../helpers/odd-files.js'
import type { AgentProgram } from './agent-program.js'
import { PsqlSession } from './psql-session.js'
import { unsized } from '../../helpers/unsized.js'

/** Takes a backup with nothing but psql: one for the leader, one for each worker. Returns the id. */
export async function takeBackupWithPsql(
  agent: AgentProgram,
  directory: string,
  workers: number,
): Promise<string> {
  const leader = new PsqlSession(agent)
  const [start = []] = await leader.rows("START_BACKUP LABEL 'by hand' FAST", 3)
  const id = String(start[0])
  const pathnames = await makeDirectories(leader, directory)
  const share = (worker: number): Pathname[] => pathnames.filter((_, index) => index % workers === worker)
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      const session = new PsqlSession(agent)
      await session.run(`JOIN_BACKUP '${id}'`)
      await receive(session, share(worker), directory)
      // One leaves, and the others just go.
      if (worker === 0) await session.run('LEAVE_BACKUP')
      await session.quit()
    }),
  )
  await receive(leader, ['global/pg_control'], directory)
  const [end = []] = await leader.rows('STOP_BACKUP NOWAIT', 5)
  writeFileSync(join(directory, 'backup_label'), end[2] ?? '')
  writeFileSync(join(directory, 'backup_manifest'), await leader.run(`BUILD_MANIFEST '${id}'`))
  await leader.quit()
  return id
}

async function makeDirectories(leader: PsqlSession, directory: string): Promise<Pathname[]> {
  mkdirSync(directory, { mode: 0o700 })
  const pathnames: Pathname[] = []
  for (const [oid] of (await leader.rows('LIST_TABLESPACES', 3)).toReversed()) {
    const tablespace = String(oid)
    if (tablespace !== '') {
      mkdirSync(`${directory}.${tablespace}`)
      symlinkSync(`${directory}.${tablespace}`, join(directory, 'pg_tblspc', tablespace))
    }
    for (const [name = Buffer.alloc(0), kind] of await leader.rows(
      tablespace === '' ? 'LIST_FILES' : `LIST_FILES '${tablespace}'`,
      6,
    )) {
      const pathname = realPathname(String(name))
      if (String(kind) === 'directory') mkdirSync(pathOf(directory, pathname))
      else if (pathname !== 'global/pg_control') pathnames.push(pathname)
    }
  }
  return pathnames
}

/** psql leaves out of what it prints what is not UTF-8. */
function realPathname(printed: string): Pathname {
  const odd = oddPathnames.map((bytes) => decodePathname(bytes))
  return odd.find((pathname) => pathname.replaceAll(/[\udc80-\udcff]/g, '') === printed) ?? printed
}

async function receive(
  session: PsqlSession,
  pathnames: readonly Pathname[],
  directory: string,
): Promise<void> {
  const commands = pathnames.map((pathname) =>
    formatCommand({ command: 'SEND_FILE', files: unsized(pathname), verifyChecksums: true }),
  )
  const paths = await session.runAll(commands)
  for (const [index, path] of paths.entries()) renameSync(path, pathOf(directory, pathnames[index] ?? ''))
}
