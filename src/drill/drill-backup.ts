import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isPbManifestError } from '../errors.js'
import { displayPathname } from '../files/pathname.js'
import { ioError } from '../files/system-error.js'
import { startRun } from '../run-facts.js'
import { checkByAmcheck, checkBySql, checkDatabases, readSql } from './check-server.js'
import { copyBackup, type CopyResult } from './copy-backup.js'
import {
  type DrilledBackup,
  findObstacle,
  listWhatIsNotLoaded,
  readBackup,
  requireMajor,
} from './drilled-backup.js'
import { explainFailure } from './explain-failure.js'
import { findServerPrograms, findServerUser, type ServerPrograms, type ServerUser } from './find-server.js'
import type { DrillCheck, DrillEnd, DrillFailure, DrillReport } from './report.js'
import { CheckNotDone, isOfBackup, type RunningServer } from './running-server.js'
import { makeScratchPlace, type ScratchPlace } from './scratch-place.js'
import { serverSettings } from './server-settings.js'
import { SupervisedServer } from './supervised-server.js'

/** Only who can enter the directory of the socket gets there. */
const PG_HBA = 'local all all trust\n'

/**
 * Holds a drill: has a server recover on a copy of the backup, in plain format, and checks what it has then. The backup itself is only
 * read. Server and copy are gone when this resolves or rejects, and also when the process is killed.
 *
 * The server of the copy has settings of its own: no TCP, no archiving, no primary, no subscriptions, nothing of the original's
 * configuration.
 *
 * @returns the report, also of a drill that failed: look at `verdict`, and which part has failed
 * @throws {@link PbManifestError} when no drill could be begun: `USAGE`, `IO`, `BAD_FILE` or `ABORTED`
 * @example
 * ```ts
 * import { drillBackup } from 'pbmanifest'
 *
 * const report = await drillBackup('/backups/monday', { amcheck: true })
 * console.log(report.verdict, report.recovery?.seconds, report.failure?.message)
 * ```
 */
export async function drillBackup(directory: string, options: DrillOptions = {}): Promise<DrillReport> {
  const started = performance.now()
  const finished = startRun()
  const { until = 'end', signal } = options
  const major = requireMajor(directory)
  const user = await findServerUser(options.as)
  const programs = await findServerPrograms(major, options.bindir, options.path ?? '')
  if (options.sqlFile !== undefined) readSql(options.sqlFile)
  const notes: string[] = []
  const backup = readBackup(directory, major)
  const report = (found: Found): DrillReport => ({
    reportVersion: 1,
    ...finished(),
    directory,
    verdict: found.failure === undefined ? 'passed' : 'failed',
    failure: found.failure ?? null,
    server: programs,
    backup: {
      majorVersion: major,
      systemIdentifier: 'control' in backup ? backup.control.systemIdentifier.toString() : null,
    },
    until,
    copy: found.copy ?? null,
    recovery: found.recovery ?? null,
    checks: found.checks ?? [],
    notes,
    seconds: (performance.now() - started) / 1000,
  })
  if (!('control' in backup)) return report({ failure: backup })
  const obstacle = await findObstacle(backup, signal)
  if (obstacle !== undefined) return report({ failure: obstacle })
  if (backup.label === undefined)
    notes.push('there is no backup_label, so the server recovers as after a crash')
  notes.push(...listWhatIsNotLoaded(directory, options.settings))

  const place = await makeScratchPlace(options.scratchParent, user)
  const server = new SupervisedServer(programs, place, user)
  try {
    return report(await holdDrill(backup, { options: { ...options, until }, place, server, programs, user }))
  } finally {
    await server.end()
    await place.remove()
  }
}

/** How far a drill came. */
interface Found {
  readonly failure?: DrillFailure | undefined
  readonly copy?: CopyResult
  readonly recovery?: DrillReport['recovery']
  readonly checks?: readonly DrillCheck[]
}

interface DrillContext {
  readonly options: DrillOptions & Required<Pick<DrillOptions, 'until'>>
  readonly place: ScratchPlace
  readonly server: SupervisedServer
  readonly programs: ServerPrograms
  readonly user: ServerUser | undefined
}

async function holdDrill(backup: DrilledBackup, context: DrillContext): Promise<Found> {
  const { options, place, user, programs } = context
  options.onStep?.('copy')
  const copy = await copyBackup(backup.directory, place, user, options.signal)
  await writeSettings(backup, context)
  options.onStep?.('recovery')
  const { recovery, failure } = await recover(context)
  if (failure !== undefined) return { copy, recovery, failure }
  const running: RunningServer = {
    major: backup.major,
    socketDirectory: place.sockets,
    username: options.username ?? 'postgres',
    database: options.database ?? 'postgres',
    programs,
    user,
    signal: options.signal,
  }
  return { copy, recovery, ...(await check(running, context)) }
}

async function writeSettings(
  { major, control, label }: DrilledBackup,
  { options, place, user }: DrillContext,
): Promise<void> {
  const until = label === undefined || control.walLevel === 'minimal' ? undefined : options.until
  const settings = serverSettings({
    major,
    control,
    socketDirectory: place.sockets,
    until,
    extra: options.settings ?? {},
  })
  const files: Record<string, string> = {
    'postgresql.conf': settings,
    'postgresql.auto.conf': '',
    'pg_hba.conf': PG_HBA,
    'pg_ident.conf': '',
    ...(until !== undefined && { 'recovery.signal': '' }),
  }
  for (const [name, text] of Object.entries(files)) {
    const path = join(place.data, name)
    try {
      await writeFile(path, text, { mode: 0o600 })
      if (user !== undefined) await chown(path, user.uid, user.gid)
    } catch (error) {
      throw ioError(`could not write file "${displayPathname(path)}"`, error)
    }
  }
}

/** Starts the server, and waits until it lets somebody in, which it does when its recovery is over. */
async function recover({ options, server }: DrillContext): Promise<{
  readonly recovery: NonNullable<DrillReport['recovery']>
  readonly failure?: DrillFailure
}> {
  let readyAt: number | undefined
  let consistent: { readonly lsn: string; readonly atMs: number } | undefined
  server.start(({ text, atMs }) => {
    const lsn = /^LOG: +consistent recovery state reached at ([0-9A-F]+\/[0-9A-F]+)/.exec(text)?.[1]
    if (lsn !== undefined) consistent ??= { lsn, atMs }
    if (/^LOG: +database system is ready to accept connections/.test(text)) readyAt ??= atMs
  })
  const { timeoutSeconds, signal } = options
  await server.waitFor(
    () => readyAt !== undefined,
    timeoutSeconds === undefined ? undefined : timeoutSeconds * 1000,
    signal,
  )
  const recovery = {
    secondsToConsistency: consistent === undefined ? null : consistent.atMs / 1000,
    consistentLsn: consistent?.lsn ?? null,
    seconds: readyAt === undefined ? null : readyAt / 1000,
  }
  if (readyAt !== undefined) return { recovery }
  const log = server.log.map(({ text }) => text)
  if (server.hasEnded) return { recovery, failure: explainFailure(log) }
  const message = `the server has not recovered within ${timeoutSeconds} s`
  return {
    recovery,
    failure: { part: 'drill', message, details: log.slice(-5), hint: 'Give it more time with -t.' },
  }
}

async function check(server: RunningServer, { options, server: process }: DrillContext): Promise<Found> {
  const checks: DrillCheck[] = []
  try {
    options.onStep?.('databases')
    checks.push(await checkDatabases(server))
    if (options.amcheck === true) {
      options.onStep?.('amcheck')
      checks.push(await checkByAmcheck(server))
    }
    if (options.sqlFile !== undefined) {
      options.onStep?.('sql')
      checks.push(await checkBySql(server, options.sqlFile))
    }
  } catch (error) {
    if (error instanceof CheckNotDone) return { checks, failure: error.failure }
    if (isPbManifestError(error)) throw error
    return { checks, failure: lostServer(error, process) }
  }
  const failed = checks.filter(({ isPassed }) => !isPassed)
  const words = {
    databases: 'a database cannot be used',
    amcheck: 'amcheck found damage',
    sql: 'the SQL failed',
  }
  const message = failed.map(({ what }) => words[what]).join(', and ')
  return { checks, ...(failed.length > 0 && { failure: { part: 'backup', message, details: [] } }) }
}

/** What nobody has expected: the server ended, or does not speak to us. */
function lostServer(error: unknown, { log, hasEnded }: SupervisedServer): DrillFailure {
  const said = log.map(({ text }) => text)
  const crash = said.find((line) => /^PANIC:|was terminated by signal/.test(line))
  const message = error instanceof Error ? error.message : String(error)
  if (isOfBackup(error))
    return { part: 'backup', message: `no database can be used: ${message}`, details: [] }
  if (crash === undefined)
    return { part: 'drill', message: `a check failed: ${message}`, details: said.slice(-5) }
  const part = hasEnded || /PANIC/.test(crash) ? 'backup' : 'drill'
  return { part, message: `the server crashed while it was checked: ${crash}`, details: said.slice(-20) }
}

/** How to hold a drill. */
export interface DrillOptions {
  /** Where the server's programs are. Default: where packages put those of the backup's version, then `PATH`. */
  readonly bindir?: string
  /** Who runs the server, when we are root: servers refuse to run as root. */
  readonly as?: string
  /** Default `end`. */
  readonly until?: DrillEnd
  /** Check all B-tree indexes and, from 14 on, all tables, by the extension amcheck. Default false. */
  readonly amcheck?: boolean
  /** A file of SQL that is to run without an error. */
  readonly sqlFile?: string
  /** A superuser of the cluster. Default `postgres`. */
  readonly username?: string
  /** The database for the SQL. Default `postgres`. */
  readonly database?: string
  /** Further settings for the server, such as `shared_preload_libraries`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Where the copy is made. Default: the system's directory for temporary files. */
  readonly scratchParent?: string
  /** For so many seconds the server may recover. Default: without limit. */
  readonly timeoutSeconds?: number
  /** Where programs are looked for: directories with colons between them. */
  readonly path?: string
  /** Ends the drill; the promise then rejects with code `ABORTED`, when all is removed. */
  readonly signal?: AbortSignal
  /** Is told what begins. */
  readonly onStep?: (step: 'copy' | 'recovery' | DrillCheck['what']) => void
}
