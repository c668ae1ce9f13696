import { displayPathname, isUtf8Pathname, type Pathname } from '../files/pathname.js'
import { PbManifestError } from '../errors.js'
import type { ChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import { formatLastModified } from '../manifest/manifest-parts.js'
import type { ManifestFile } from '../manifest/model.js'
import { findPageFile, incrementalPathname, wholeFilePathname } from '../postgres/data-page/page-files.js'
import { fileProblem } from '../verify/problems.js'
import { FilePages, type PageFindings, type PageRules } from './file-pages.js'
import { type IncrementalSource, readIncrementalHeader } from './incremental-source.js'
import { type HasherPool, type InputBackup, InputFault, InputFile, type OnBytes } from './input-file.js'
import type { CopyMethod } from './report.js'
import { countOrigins, FROM_NOWHERE, planReconstruction, type Reconstruction } from './plan-reconstruction.js'
import { type BlockSink, copyWhole, reconstructFile } from './reconstruct-file.js'
import { NewFile, transferFile, type WrittenFile } from './target-files.js'

/** How a thread puts files into the result. */
export interface FileMaker {
  /** The full one first. */
  readonly backups: readonly InputBackup[]
  /** `undefined`: nothing is written, and nothing read but what a plan needs. */
  readonly target: { readonly directory: string; readonly fileMode: number } | undefined
  /** Of the new manifest. */
  readonly algorithm: ChecksumAlgorithm
  readonly copyMethod: Exclude<CopyMethod, 'auto'>
  readonly segmentPages: number
  readonly pageRules: PageRules | undefined
  readonly hashers: HasherPool
  /** Two of the same size, of whole pages. */
  readonly buffer: Buffer
  readonly scratch: Buffer
  readonly onBytes: OnBytes
  readonly onChunk: () => void
  /** Whether the result is of no use any more, so that inputs are only compared. */
  readonly isDoomed: () => boolean
}

/** What became of one file. */
export interface MadeFile {
  readonly pathname: Pathname
  /** Its entry in the new manifest; `undefined` when nothing was written. */
  readonly entry: ManifestFile | undefined
  /** The backup that it is whole from; `undefined`: it was put together. */
  readonly wholeFrom: number | undefined
  /** Of a file that was put together: blocks from each backup, and from none. */
  readonly blocks: readonly number[]
  readonly zeroBlocks: number
  /** Input files whose checksum was compared. */
  readonly compared: number
  readonly pages: PageFindings | undefined
  readonly warnings: readonly string[]
}

/**
 * Makes one file of the result.
 *
 * @param pathname - in the last backup
 * @throws {@link InputFault} when something is wrong with an input; {@link PbManifestError} `IO`
 */
export async function makeFile(maker: FileMaker, pathname: Pathname): Promise<MadeFile> {
  const inputs: InputFile[] = []
  const open = async (backup: number, name: Pathname): Promise<InputFile | undefined> => {
    const input = await InputFile.open(maker.backups, backup, name, maker.hashers, maker.onBytes)
    if (input !== undefined) inputs.push(input)
    return input
  }
  try {
    return await (findPageFile(pathname)?.isIncremental === true
      ? reconstruct(maker, pathname, inputs, open)
      : takeWhole(
          maker,
          pathname,
          await requireInput(maker, maker.backups.length - 1, pathname, open),
          inputs,
        ))
  } finally {
    for (const input of inputs) input.close(maker.hashers)
  }
}

type Open = (backup: number, pathname: Pathname) => Promise<InputFile | undefined>

async function requireInput(
  { backups }: FileMaker,
  backup: number,
  pathname: Pathname,
  open: Open,
): Promise<InputFile> {
  const input = await open(backup, pathname)
  if (input !== undefined) return input
  const shown = displayPathname(`${backups[backup]?.directory}/${pathname}`)
  throw new PbManifestError('IO', `could not open file "${shown}": No such file or directory`)
}

async function reconstruct(
  maker: FileMaker,
  incrementalName: Pathname,
  inputs: readonly InputFile[],
  open: Open,
): Promise<MadeFile> {
  const { backups, segmentPages } = maker
  const last = backups.length - 1
  const pathname = wholeFilePathname(incrementalName)
  const newest = await requireInput(maker, last, incrementalName, open)
  const incremental: IncrementalSource[] = [readIncrementalHeader(newest, segmentPages)]
  let whole: InputFile | undefined
  for (let backup = last - 1; backup >= 0 && whole === undefined; backup--) {
    whole = await open(backup, pathname)
    if (whole !== undefined) break
    const input = await requireInput(maker, backup, incrementalPathname(pathname), open)
    if (backup === 0) throw unexpectedIncremental(input)
    incremental.push(readIncrementalHeader(input, segmentPages))
  }
  if (whole === undefined) throw unexpectedIncremental(newest)
  const plan = planReconstruction([
    ...incremental.map(({ layout }) => layout),
    { kind: 'whole', bytes: whole.size },
  ])
  if (plan === undefined) throw new Error('sources of a file that end with no whole one')
  if (plan.isCopy) {
    for (const { input } of incremental) input.finish(maker.scratch, maker.onChunk)
    return await takeWhole(maker, pathname, whole, inputs)
  }
  return await putTogether(maker, pathname, plan, { incremental, whole }, inputs)
}

function unexpectedIncremental(input: InputFile): InputFault {
  return new InputFault(
    input.backup,
    fileProblem(
      'incremental-file',
      input.pathname,
      (name) => `full backup contains unexpected incremental file "${name}"`,
    ),
  )
}

async function putTogether(
  maker: FileMaker,
  pathname: Pathname,
  plan: Reconstruction,
  sources: { readonly incremental: readonly IncrementalSource[]; readonly whole: InputFile },
  inputs: readonly InputFile[],
): Promise<MadeFile> {
  const { algorithm, target, hashers } = maker
  const sourceBackups = [...sources.incremental.map(({ input }) => input.backup), sources.whole.backup]
  const counts = countOrigins(plan, sourceBackups.length)
  const blocks = maker.backups.map((_, backup) => counts[sourceBackups.indexOf(backup)] ?? 0)
  const made = {
    ...describe(pathname, inputs),
    blocks,
    wholeFrom: undefined,
    zeroBlocks: plan.blocks - counts.reduce((sum, count) => sum + count, 0),
  }
  if (target === undefined) return { ...made, entry: undefined, pages: undefined }
  const hasher = algorithm === 'NONE' ? undefined : await hashers.take(algorithm)
  const file = createFile(maker, pathname)
  const pages = FilePages.of(pathname, maker.pageRules)
  try {
    reconstructFile(sources, plan, { ...sinkOf(maker), file, hasher, pages })
    const written = file?.finish()
    const checksum = hasher?.digest()
    return {
      ...made,
      entry: written && entryOf(pathname, written, algorithm, checksum),
      // The last backup's incremental file is the first source.
      pages: pages?.end((block) => plan.origins[block] === 0 || plan.origins[block] === FROM_NOWHERE, 0),
    }
  } finally {
    file?.close()
    if (hasher !== undefined && algorithm !== 'NONE') hashers.give(algorithm, hasher)
  }
}

async function takeWhole(
  maker: FileMaker,
  pathname: Pathname,
  input: InputFile,
  inputs: readonly InputFile[],
): Promise<MadeFile> {
  const { target, copyMethod, backups } = maker
  const made = {
    ...describe(pathname, inputs),
    wholeFrom: input.backup,
    blocks: [],
    zeroBlocks: 0,
    warnings: warningsOf(maker, input),
  }
  if (target === undefined) return { ...made, entry: undefined, pages: undefined }
  // Files of WAL are in the manifest of a combined backup, without a checksum.
  const algorithm = pathname.startsWith('pg_wal/') ? 'NONE' : maker.algorithm
  const known = algorithm === 'NONE' ? undefined : input.knownChecksum(algorithm)
  const isTransferred = copyMethod !== 'copy' && !maker.isDoomed()
  const written = isTransferred
    ? transferFile(
        { path: input.path, shown: displayPathname(`${backups[input.backup]?.directory}/${input.pathname}`) },
        { directory: target.directory, pathname, mode: target.fileMode },
        copyMethod,
      )
    : undefined
  if (written !== undefined && !input.isCompared && (known !== undefined || algorithm === 'NONE')) {
    return { ...made, entry: entryOf(pathname, written, algorithm, known), pages: undefined }
  }
  const hasher = algorithm === 'NONE' || known !== undefined ? undefined : await maker.hashers.take(algorithm)
  const file = isTransferred ? undefined : createFile(maker, pathname)
  const pages = FilePages.of(pathname, maker.pageRules)
  try {
    const { restBytes } = copyWhole(input, { ...sinkOf(maker), file, hasher, pages })
    const result = written ?? file?.finish()
    return {
      ...made,
      entry: result && entryOf(pathname, result, algorithm, known ?? hasher?.digest()),
      pages: pages?.end(input.backup === backups.length - 1, restBytes),
    }
  } finally {
    file?.close()
    if (hasher !== undefined && algorithm !== 'NONE') maker.hashers.give(algorithm, hasher)
  }
}

function createFile({ target, isDoomed }: FileMaker, pathname: Pathname): NewFile | undefined {
  if (target === undefined || isDoomed()) return undefined
  return NewFile.create(target.directory, pathname, target.fileMode)
}

function sinkOf({ buffer, scratch, onChunk }: FileMaker): Pick<BlockSink, 'buffer' | 'scratch' | 'onChunk'> {
  return { buffer, scratch, onChunk }
}

function describe(
  pathname: Pathname,
  inputs: readonly InputFile[],
): Pick<MadeFile, 'pathname' | 'compared' | 'warnings'> {
  return { pathname, compared: inputs.filter(({ isCompared }) => isCompared).length, warnings: [] }
}

/** Of a backup that is not compared with its manifest; else that was a problem. */
function warningsOf({ backups, algorithm }: FileMaker, input: InputFile): readonly string[] {
  const { directory, files, isCompared } = backups[input.backup] ?? {}
  if (files === undefined || isCompared === true || input.isListed || algorithm === 'NONE') return []
  if (input.mayBeUnlisted) return []
  return [
    `manifest file "${directory}/backup_manifest" contains no entry for file "${displayPathname(input.pathname)}"`,
  ]
}

function entryOf(
  pathname: Pathname,
  { size, modified }: WrittenFile,
  algorithm: ChecksumAlgorithm,
  hex: string | undefined,
): ManifestFile {
  return {
    pathname,
    size,
    lastModified: formatLastModified(modified),
    checksum: algorithm === 'NONE' || hex === undefined ? undefined : { algorithm, hex },
    isPathEncoded: !isUtf8Pathname(pathname),
  }
}
