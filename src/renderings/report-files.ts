import { constants } from 'node:fs'
import { access, readdir, realpath } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { PbManifestError } from '../errors.js'
import { displayJson } from '../files/display-text.js'
import { describeSystemError, ioError, isNotThere } from '../files/system-error.js'
import type { StatusReport } from '../state/status.js'
import type { BackupsReport } from '../verify/several/verify-backups.js'

/** The kinds of files that a report is written as. */
export const reportKinds = ['html', 'json', 'junit', 'prometheus'] as const

/** What kind of file a report is written as. */
export type ReportKind = (typeof reportKinds)[number]

/** A file that a report is to be written into. */
export interface ReportFile {
  readonly kind: ReportKind
  readonly path: string
}

/** Reports are for others to read, as far as the umask has it. */
const MODE = 0o666

/** So many characters are written at once. */
const BATCH = 64 * 1024

/**
 * Looks whether these files can be written when the time has come, before hours of work.
 *
 * @param directories - the backups; a file in one of them would be one that its manifest does not list
 * @throws {@link PbManifestError} `USAGE` for a file in a backup, or named twice; `IO`
 */
export async function checkReportFiles(
  files: readonly ReportFile[],
  directories: readonly string[],
): Promise<void> {
  if (files.length === 0) return
  const places = (await Promise.all(directories.map((directory) => placesOf(directory)))).flat()
  const seen = new Set<string>()
  for (const { path } of files) {
    const target = await targetOf(path)
    const place = places.find(
      ({ real }) => target === real || target.startsWith(real === sep ? sep : `${real}${sep}`),
    )
    if (place !== undefined) {
      throw new PbManifestError('USAGE', `report "${path}" would be in the backup "${place.directory}"`, {
        hint: 'There it is a file that is not in the manifest.',
      })
    }
    if (seen.has(target)) throw new PbManifestError('USAGE', `two reports are to be written into "${path}"`)
    seen.add(target)
  }
}

/** A backup, and where its tablespaces are. */
async function placesOf(directory: string): Promise<{ real: string; directory: string }[]> {
  const tablespaces = join(directory, 'pg_tblspc')
  const links = await orNothing(readdir(tablespaces))
  const paths = [directory, ...(links ?? []).map((name) => join(tablespaces, name))]
  const found = await Promise.all(paths.map(async (path) => await orNothing(realpath(path))))
  return found.flatMap((real) => (real === undefined ? [] : { real, directory }))
}

/** What cannot be looked at is for the verification to tell. */
async function orNothing<Value>(promise: Promise<Value>): Promise<Value | undefined> {
  return await promise.catch((error: unknown) => {
    if (describeSystemError(error) === undefined) throw error
    return undefined
  })
}

/** Where a file will be, without links. */
async function targetOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (!isNotThere(error)) throw ioError(`could not write file "${path}"`, error)
  }
  try {
    const parent = await realpath(dirname(path))
    await access(parent, constants.W_OK | constants.X_OK)
    return join(parent, basename(path))
  } catch (error) {
    throw ioError(`could not write file "${path}"`, error)
  }
}

/** How a report is written. */
export interface WriteReportOptions {
  /** Whether JSON is that of several backups. Default: when there is not exactly one. */
  readonly isPlural?: boolean
  /** For a page: what is known of earlier verifications, or why it cannot be read. */
  readonly history?: StatusReport | string
}

/**
 * Writes a report into a file, whole and durable, or not at all.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function writeReportFile(
  { kind, path }: ReportFile,
  report: BackupsReport,
  options: WriteReportOptions = {},
): Promise<void> {
  const { DurableFile } = await import('../files/durable-file.js')
  const file = await DurableFile.create(path, MODE)
  try {
    let text = ''
    for await (const piece of await render(kind, report, options)) {
      text += piece
      if (text.length < BATCH) continue
      await file.write(Buffer.from(text))
      text = ''
    }
    await file.write(Buffer.from(text))
    await file.commit()
  } catch (error) {
    await file.discard()
    throw error
  }
}

async function render(
  kind: ReportKind,
  report: BackupsReport,
  { isPlural = report.backups.length !== 1, history }: WriteReportOptions,
): Promise<Iterable<string> | AsyncIterable<string>> {
  switch (kind) {
    case 'html': {
      const { formatReportAsHtml } = await import('./html/report-page.js')
      return formatReportAsHtml(report, history)
    }
    case 'json':
      return await renderJson(report, isPlural)
    case 'junit': {
      const { formatReportAsJUnit } = await import('./junit.js')
      return formatReportAsJUnit(report)
    }
    case 'prometheus': {
      const { formatReportForPrometheus } = await import('./prometheus.js')
      return [formatReportForPrometheus(report)]
    }
    default:
      return kind satisfies never
  }
}

async function renderJson(report: BackupsReport, isPlural: boolean): Promise<Iterable<string>> {
  const { formatBackupsReportAsJson, formatReportAsJson } = await import('../verify/format-report.js')
  const [first] = report.backups
  if (isPlural || first === undefined) return displayed(formatBackupsReportAsJson(report))
  // As `verify --output=json` prints it.
  if ('report' in first) return displayed(formatReportAsJson(first.report))
  return displayed([JSON.stringify({ error: first.error }, null, 2)])
}

function* displayed(json: Iterable<string>): Generator<string, void, undefined> {
  for (const piece of json) yield displayJson(piece)
  yield '\n'
}
