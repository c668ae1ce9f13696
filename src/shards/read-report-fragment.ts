import { createHash } from 'node:crypto'
import { PbManifestError } from '../errors.js'
import { NotARegularFileError, openError } from '../files/open-regular-file.js'
import { readLineBlocks } from '../files/read-line-blocks.js'
import { ioError } from '../files/system-error.js'
import { validatorOf } from '../schemas/validator.js'
import type { Warning } from '../verify/report.js'
import {
  type ReportFragmentLine,
  type PlacedProblem,
  REPORT_FRAGMENT_VERSION,
  type ReportFragmentSeal,
  type ShardFindings,
  type ShardRun,
} from './report-fragment.js'

/** Of a line: a problem tells a pathname several times, each byte of which may be escaped. */
const MAX_LINE_BYTES = 1024 * 1024

const LF = 0x0a

/** A fragment that is whole, but for its problems and warnings, which are read when they are wanted. */
export interface ReportFragment {
  readonly path: string
  readonly seal: ReportFragmentSeal
  readonly findings: ShardFindings
  readonly run: ShardRun
}

/** Why a file is no fragment that can be used. */
export interface FragmentFault {
  readonly path: string
  /** To be read behind the name of the file. */
  readonly reason: string
  /** Whether it was changed, or is none; else it is only not complete. */
  readonly isDamage: boolean
}

/**
 * Reads a fragment to its end, and compares it with its seal.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function readReportFragment(path: string): ReportFragment | FragmentFault {
  const check = new FragmentCheck()
  try {
    for (const { bytes, isWhole } of readLineBlocks(path, MAX_LINE_BYTES)) {
      if (!isWhole) return { path, ...cutOrLong(bytes) }
      for (const line of splitLines(bytes)) {
        const reason = check.take(line)
        if (reason !== undefined) return { path, reason, isDamage: true }
      }
    }
  } catch (error) {
    throw readingError(path, error)
  }
  const { seal, findings, run } = check
  if (seal === undefined || findings === undefined || run === undefined) {
    const isOther = check.lines === 0
    const reason = isOther ? 'is empty' : 'has no seal: its shard was not verified to the end'
    return { path, reason, isDamage: false }
  }
  return { path, seal, findings, run }
}

/** The problems of a fragment that was read before, in their order. */
export function* problemsIn({ path, seal }: ReportFragment): Generator<PlacedProblem, void, undefined> {
  let left = seal.problems
  // Most shards have none: their files need not be open.
  if (left === 0) return
  for (const line of linesOf(path)) {
    if (!('problem' in line)) break
    yield line
    if (--left === 0) return
  }
  throw new PbManifestError('BAD_FRAGMENT', `report fragment "${path}" was changed while it was read`)
}

/** The warnings of a fragment that was read before. */
export function* warningsIn({ path }: ReportFragment): Generator<Warning, void, undefined> {
  for (const line of linesOf(path)) {
    if ('warning' in line) yield line.warning
    else if (!('problem' in line)) return
  }
}

function* linesOf(path: string): Generator<ReportFragmentLine, void, undefined> {
  try {
    for (const { bytes } of readLineBlocks(path, MAX_LINE_BYTES)) {
      for (const line of splitLines(bytes)) yield JSON.parse(line.toString('utf8')) as ReportFragmentLine
    }
  } catch (error) {
    throw readingError(path, error)
  }
}

/** Each line with its end. */
function* splitLines(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(LF, at) + 1
    yield bytes.subarray(at, end)
    at = end
  }
}

/** What is wrong with a last line without an end. */
function cutOrLong({ length }: Buffer): Pick<FragmentFault, 'reason' | 'isDamage'> {
  return length >= MAX_LINE_BYTES
    ? { reason: `is damaged: a line is longer than ${MAX_LINE_BYTES} bytes`, isDamage: true }
    : { reason: 'is truncated: it ends in the middle of a line', isDamage: false }
}

function readingError(path: string, error: unknown): unknown {
  if (error instanceof NotARegularFileError) return openError(path, error)
  return ioError(`could not read file "${path}"`, error)
}

/** Looks at the lines of a fragment, one after the other. */
class FragmentCheck {
  lines = 0
  findings: ShardFindings | undefined
  run: ShardRun | undefined
  seal: ReportFragmentSeal | undefined
  readonly #hash = createHash('sha256')
  readonly #fits = validatorOf('report-fragment-line')
  readonly #isSeal = validatorOf('report-fragment-seal')
  #problems = 0
  #findingsChecksum = ''

  /**
   * Takes the next line.
   *
   * @returns what is wrong with it
   */
  take(line: Buffer): string | undefined {
    this.lines++
    if (this.seal !== undefined) return 'is damaged: something follows its seal'
    const json = parseJson(line)
    if (json === undefined) return this.#explain('it is no JSON')
    if ('reportFragmentVersion' in json) return this.#takeSeal(json)
    const misfit = this.#fits(json)
    if (misfit !== undefined) return this.#explain(misfit)
    const parsed = json as ReportFragmentLine
    if ('run' in parsed) {
      if (this.findings === undefined) return this.#explain('it stands before the findings')
      this.#findingsChecksum = this.#hash.copy().digest('hex')
      this.run = parsed.run
    } else if (this.findings !== undefined) return this.#explain('it stands behind the findings')
    else if ('findings' in parsed) this.findings = parsed.findings
    else if ('problem' in parsed) this.#problems++
    this.#hash.update(line)
    return undefined
  }

  #takeSeal(json: object): string | undefined {
    const version = (json as ReportFragmentSeal).reportFragmentVersion
    if (Number.isSafeInteger(version) && version > REPORT_FRAGMENT_VERSION) {
      return `is of version ${version} of the format, which this version does not know`
    }
    const misfit = this.#isSeal(json)
    if (misfit !== undefined || this.run === undefined) return 'is damaged: its seal is not one'
    const seal = json as ReportFragmentSeal
    if (seal.problems !== this.#problems) {
      return `is damaged: it tells ${this.#problems} problems, but its seal says ${seal.problems}`
    }
    const isSame =
      seal.fragmentChecksum === this.#hash.digest('hex') &&
      seal.findingsChecksum === this.#findingsChecksum &&
      seal.manifestChecksum === this.findings?.manifest.checksum
    if (!isSame || seal.shard > seal.shards) return 'is damaged: fragment checksum mismatch'
    this.seal = seal
    return undefined
  }

  #explain(reason: string): string {
    return this.lines === 1
      ? 'is no report fragment'
      : `is damaged: line ${this.lines} is none of a report fragment: ${reason}`
  }
}

function parseJson(line: Buffer): object | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}
