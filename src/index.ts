export { type ErrorCode, isPbManifestError, PbManifestError, type PbManifestErrorOptions } from './errors.js'
export { decodePathname, encodePathname, type Pathname } from './files/pathname.js'
export { type ChecksumAlgorithm, checksumAlgorithms } from './manifest/checksum/checksum-algorithm.js'
export { createBackupId } from './manifest/fragment/backup-id.js'
export { fragmentFileName } from './manifest/fragment/fragment-file-name.js'
export type { WriteFragmentOptions, WriteFragmentResult } from './manifest/fragment/options.js'
export { writeFragment } from './manifest/fragment/write-fragment.js'
export { findFragments } from './manifest/merge/find-fragments.js'
export { mergeFragments } from './manifest/merge/merge-fragments.js'
export type { MergeOptions, MergeResult } from './manifest/merge/options.js'
export type {
  BackupManifest,
  FileChecksum,
  ManifestFile,
  ManifestHeader,
  ManifestVersion,
  WalRange,
} from './manifest/model.js'
export { readManifest } from './manifest/read-manifest.js'
export type {
  ChainNotChecked,
  ChainProblem,
  ChainProblemKind,
  ChainReport,
} from './verify/chain/chain-report.js'
export { verifyChain, type VerifyChainOptions } from './verify/chain/verify-chain.js'
export { readConnectionEnvironment } from './transfer/connection/connection-environment.js'
export type { ConnectionOptions } from './transfer/connection/connection-options.js'
export { type AgentUser, resolveAgent } from './transfer/connection/resolve-agent.js'
export { type ConnectionSettings, resolveConnection } from './transfer/connection/resolve-connection.js'
export type { BackupOptions, BackupProgress } from './transfer/client/options.js'
export type { BackupReport } from './transfer/client/report.js'
export { type TakenBackup, takeBackup } from './transfer/client/take-backup.js'
export type { VerifyOptions, VerifyProgress } from './verify/options.js'
export type {
  CheckedPages,
  NotChecked,
  Problem,
  ProblemKind,
  VerifiedManifest,
  VerifyReport,
  VerifyStep,
} from './verify/report.js'
export { verifyBackup } from './verify/verify-backup.js'
export { type VerifyArchiveOptions, verifyArchiveStream } from './verify/verify-archive-stream.js'
