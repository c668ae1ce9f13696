import { type RunFacts, startRun } from '../run-facts.js'
import { PbManifestError } from '../errors.js'
import { throwIfAborted } from '../files/yielder.js'
import { requireSmallFile } from '../files/read-small-file.js'
import {
  type GoodSignature,
  SignatureCheck,
  type SignatureDemand,
  type SignatureProblem,
} from './check-signature.js'
import { realPath, reportNamespace, signatureOfFile } from './signature-place.js'

/** A report as far as a signature is concerned. */
interface SignableReport {
  readonly bytes: Buffer
  readonly pbmanifestVersion: string
  /** What it says of the backup; `null` when it says nothing. */
  readonly verdict: string | null
}

/** A string can be no longer than 512 MB. */
const MAX_BYTES = 256 * 1024 * 1024

/**
 * Reads a JSON report of pbmanifest: of `verify`, of a chain, or of `backup`.
 *
 * @param otherwise - what it is when it is none
 * @throws {@link PbManifestError} `IO`; `BAD_FILE` when it is none
 */
export function readReport(path: string, otherwise = 'is not a JSON report of pbmanifest'): SignableReport {
  const notAReport = new PbManifestError('BAD_FILE', `"${path}" ${otherwise}`)
  const bytes = requireSmallFile(path, MAX_BYTES)
  const report = parseObject(bytes)
  const { reportVersion, pbmanifestVersion } = report
  if (typeof reportVersion !== 'number' || typeof pbmanifestVersion !== 'string') throw notAReport
  return { bytes, pbmanifestVersion, verdict: verdictOf(report) ?? verdictOf(report['verification']) }
}

function parseObject(bytes: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

function verdictOf(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || !('verdict' in value)) return null
  return typeof value.verdict === 'string' ? value.verdict : null
}

/**
 * What a signed report is worth, as data.
 *
 * @see schemas/signed-report.schema.json
 */
export interface SignedReportCheck extends RunFacts {
  readonly reportVersion: 2
  /** The report, as it was given. */
  readonly report: string
  /** The same, absolute and without links in it. */
  readonly path: string
  /** `failed` when there are problems with its signature; else what the report says of the backup, `null` if nothing. */
  readonly verdict: string | null
  /** `null` when there are problems. */
  readonly signature: GoodSignature | null
  readonly problems: readonly SignatureProblem[]
}

/**
 * Checks the signature of a JSON report that was kept.
 *
 * @throws {@link PbManifestError} `IO`, `BAD_FILE` or `ABORTED`
 */
export function checkSignedReport(
  path: string,
  demand: SignatureDemand,
  signal?: AbortSignal,
): SignedReportCheck {
  throwIfAborted(signal)
  const endRun = startRun()
  const check = new SignatureCheck(demand, 'report', reportNamespace, [signatureOfFile(path)])
  const { bytes, verdict } = readReport(path)
  check.update(bytes)
  const { signature, problem } = check.conclude()
  return {
    reportVersion: 2,
    ...endRun(),
    report: path,
    path: realPath(path),
    verdict: problem === undefined ? verdict : 'failed',
    signature,
    problems: problem === undefined ? [] : [problem],
  }
}
