import { isPbManifestError } from '../../errors.js'
import { readBackupLabel, readControlFileIfKnown } from '../../manifest/data-directory-files.js'
import type { WalRange } from '../../manifest/model.js'
import type { BackupLabel } from '../../postgres/backup-label.js'
import type { ControlFile } from '../../postgres/control-file.js'
import { parseLsn } from '../../postgres/lsn.js'
import type { VerifiedManifest } from '../report.js'
import type { ChainNotChecked, ChainProblem, ChainProblemKind } from './chain-report.js'

/** What a backup says of its place in a chain. */
export interface ChainMember {
  readonly directory: string
  readonly manifestPath: string
  readonly manifestVersion: 1 | 2
  /** Newest timeline first. */
  readonly walRanges: readonly WalRange[]
  /** `undefined` when it cannot be read. */
  readonly control: ControlFile | undefined
  readonly label: BackupLabel | undefined
}

/** A backup of which the manifest is known. */
interface KnownBackup {
  readonly directory: string
  readonly manifest: Pick<VerifiedManifest, 'path' | 'version' | 'walRanges'>
}

/** Reads what a backup says of its place; tells which of its statements are not to be had, or not known. */
export function readChainMember(
  { directory, manifest }: KnownBackup,
  onProblem: (problem: ChainProblem) => void,
  onUnknown: (notChecked: ChainNotChecked) => void,
): ChainMember {
  const read = <Statement>(
    kind: ChainProblemKind,
    name: string,
    readStatement: (directory: string) => Statement | 'not known' | undefined,
  ): Statement | undefined => {
    try {
      const statement = readStatement(directory)
      if (statement === 'not known') return undefined
      if (statement !== undefined) return statement
      onProblem({ kind, directory, message: `backup at "${directory}" has no "${name}"` })
    } catch (error) {
      if (!isPbManifestError(error)) throw error
      onProblem({ kind, directory, message: error.message })
    }
    return undefined
  }
  const readControl = (): ControlFile | 'not known' | undefined => {
    let isUnknown = false
    const control = readControlFileIfKnown(directory, (why) => {
      isUnknown = true
      onUnknown({ what: 'control-file', why })
    })
    return isUnknown ? 'not known' : control
  }
  return {
    directory,
    manifestPath: manifest.path,
    manifestVersion: manifest.version,
    walRanges: manifest.walRanges.map(({ timeline, startLsn, endLsn }) => ({
      timeline,
      startLsn: parseLsn(startLsn) ?? 0n,
      endLsn: parseLsn(endLsn) ?? 0n,
    })),
    control: read('control-file', 'global/pg_control', readControl),
    label: read('backup-label', 'backup_label', readBackupLabel),
  }
}
