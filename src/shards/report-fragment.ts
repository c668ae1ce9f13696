import { createHash } from 'node:crypto'
import { DurableFile } from '../files/durable-file.js'
import type { RunFacts } from '../run-facts.js'
import type { Problem, VerifyReport, Warning } from '../verify/report.js'
import type { ReportedOptions } from '../verify/reported-options.js'
import type { ProblemPlace, SharedArchives } from '../verify/share.js'

/** So much is written at once. */
const BATCH_BYTES = 256 * 1024

export const REPORT_FRAGMENT_VERSION = 1

/** What a shard has found: the same whenever, wherever and by how many threads it is verified. */
export interface ShardFindings extends Pick<
  VerifyReport,
  | 'format'
  | 'backup'
  | 'signature'
  | 'checksumsFrom'
  | 'filesChecked'
  | 'bytesChecked'
  | 'pages'
  | 'walRecords'
  | 'walBytes'
  | 'notChecked'
> {
  readonly manifest: Omit<VerifyReport['manifest'], 'path'>
  /** What all shards have to be asked alike. */
  readonly asked: Pick<
    ReportedOptions,
    'ignore' | 'skipChecksums' | 'pageChecksums' | 'noParseWal' | 'partialWal'
  > & { readonly hasToBeSigned: boolean }
  /** Whether all of the manifest is ignored. */
  readonly isPartial: boolean
  /** Of a backup in tar format. */
  readonly archives?: SharedArchives
  /** Of a backup in an object store: SHA-256 of what the store lists. */
  readonly listing?: string
}

/** By whom, where, when and how a shard was verified. */
export interface ShardRun
  extends RunFacts, Pick<VerifyReport, 'directory' | 'path' | 'options' | 'engines' | 'seconds'> {
  readonly manifestPath: string
}

/** The last line: which shard it is, of which backup, and that it is complete. */
export interface ReportFragmentSeal {
  readonly reportFragmentVersion: 1
  readonly shard: number
  readonly shards: number
  /** The manifest's own SHA-256. */
  readonly manifestChecksum: string
  /** How many lines tell a problem. */
  readonly problems: number
  /** SHA-256 of all lines before that of the run: two runs of a shard have the same, unless the backup changed. */
  readonly findingsChecksum: string
  /** SHA-256 of all bytes before this line. */
  readonly fragmentChecksum: string
}

/** A problem, and where it stands. */
export interface PlacedProblem extends ProblemPlace {
  readonly problem: Problem
}

/** Any line but the last. */
export type ReportFragmentLine =
  | PlacedProblem
  | { readonly warning: Warning }
  | { readonly findings: ShardFindings }
  | { readonly run: ShardRun }

/** Writes a fragment, which appears when it is sealed. `seal` or `discard` is due. */
export class ReportFragmentWriter {
  readonly #file: DurableFile
  readonly #hash = createHash('sha256')
  #pending: string[] = []
  #pendingLength = 0
  #problems = 0
  /** What is on its way to the disk. */
  #writing: Promise<void> = Promise.resolve()

  private constructor(file: DurableFile) {
    this.#file = file
  }

  /** @throws {@link PbManifestError} `IO` */
  static async create(path: string): Promise<ReportFragmentWriter> {
    return new ReportFragmentWriter(await DurableFile.create(path, 0o666))
  }

  readonly addProblem = (problem: Problem, place: ProblemPlace): void => {
    this.#problems++
    this.#add({ ...place, problem })
  }

  /** @throws {@link PbManifestError} `IO` */
  async seal(
    warnings: readonly Warning[],
    findings: ShardFindings,
    run: ShardRun,
    { shard, shards }: Pick<ReportFragmentSeal, 'shard' | 'shards'>,
  ): Promise<void> {
    for (const warning of warnings) this.#add({ warning })
    this.#add({ findings })
    this.#flush()
    // The hash goes on with what is no finding.
    const findingsChecksum = this.#hash.copy().digest('hex')
    this.#add({ run })
    this.#flush()
    const seal: ReportFragmentSeal = {
      reportFragmentVersion: REPORT_FRAGMENT_VERSION,
      shard,
      shards,
      manifestChecksum: findings.manifest.checksum,
      problems: this.#problems,
      findingsChecksum,
      fragmentChecksum: this.#hash.digest('hex'),
    }
    await this.#writing
    await this.#file.write(Buffer.from(`${JSON.stringify(seal)}\n`))
    await this.#file.commit()
  }

  /** Never throws. */
  async discard(): Promise<void> {
    await this.#writing.catch(() => {})
    await this.#file.discard()
  }

  #add(line: ReportFragmentLine): void {
    const text = `${JSON.stringify(line)}\n`
    this.#pending.push(text)
    this.#pendingLength += text.length
    if (this.#pendingLength >= BATCH_BYTES) this.#flush()
  }

  #flush(): void {
    const bytes = Buffer.from(this.#pending.join(''))
    this.#pending = []
    this.#pendingLength = 0
    this.#hash.update(bytes)
    this.#writing = this.#writing.then(() => this.#file.write(bytes))
    // It is awaited at the end.
    this.#writing.catch(() => {})
  }
}
