import { basename } from 'node:path'
import { readFileEnd } from '../../files/read-small-file.js'
import { parseFragmentFileName } from './backup-id.js'
import { parseFragmentSeal } from './parse-fragment-line.js'

/** More than a seal can have. */
const TAIL_BYTES = 1024

/** Whose fragment a file is. */
export interface FragmentIdentity {
  readonly backupId: string
  readonly worker: number
  /** How many files it records, by its seal. */
  readonly files?: number
}

/**
 * Says whose fragment this is: by its seal, or by its name when it has none.
 *
 * Looks at the end only; whether the seal is true shows when the fragment is read.
 *
 * @throws {@link PbManifestError} `IO`
 */
export function identifyFragment(path: string): FragmentIdentity | undefined {
  const lines = readFileEnd(path, TAIL_BYTES).toString('latin1').split('\n')
  const seal = parseFragmentSeal(Buffer.from(lines.at(-2) ?? '', 'latin1'))
  return seal ?? parseFragmentFileName(basename(path))
}
