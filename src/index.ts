export { type ErrorCode, isPbManifestError, PbManifestError, type PbManifestErrorOptions } from './errors.js'
export { decodePathname, encodePathname, type Pathname } from './files/pathname.js'
export {
  type ChecksumAlgorithm,
  checksumAlgorithms,
  type RealChecksumAlgorithm,
} from './manifest/checksum/checksum-algorithm.js'
export { createBackupId, fragmentFileName } from './manifest/fragment/backup-id.js'
export {
  createManifest,
  type CreateManifestOptions,
  type CreateManifestResult,
} from './create/create-manifest.js'
export { combineBackups } from './combine/combine-backups.js'
export { type CombinedFile, type CombineOptions, type CombineProgress } from './combine/options.js'
export {
  type CombineNotChecked,
  type CombineReport,
  type CombineStep,
  combineSteps,
  type CombineWarning,
  type CopyMethod,
  copyMethods,
  type InputProblem,
} from './combine/report.js'
export type { EndFoundBy } from './create/find-positions.js'
export {
  diffManifests,
  type DiffedManifest,
  type FileDifference,
  type FileDifferenceKind,
  fileDifferenceKinds,
  type ManifestDiff,
} from './inspect/diff-manifests.js'
export {
  type FileOrder,
  fileOrders,
  listManifestFiles,
  type ListManifestFilesOptions,
  type ManifestFileList,
} from './inspect/list-manifest-files.js'
export type { InventoryFile } from './inspect/manifest-inventory.js'
export {
  type FileCount,
  type ManifestOverview,
  summarizeManifest,
  type SummarizeManifestOptions,
} from './inspect/summarize-manifest.js'
export type { RelationFork } from './postgres/relation-file-name.js'
export {
  writeFragment,
  type WriteFragmentOptions,
  type WriteFragmentResult,
} from './manifest/fragment/write-fragment.js'
export { findFragments } from './manifest/merge/find-fragments.js'
export { mergeFragments } from './manifest/merge/merge-fragments.js'
export type { MergeOptions, MergeResult } from './manifest/merge/merge-options.js'
export type {
  BackupManifest,
  FileChecksum,
  ManifestFile,
  ManifestHeader,
  ManifestVersion,
  WalRange,
} from './manifest/model.js'
export { readManifest } from './manifest/read-manifest.js'
export {
  type ChainNotChecked,
  type ChainProblem,
  type ChainProblemKind,
  chainProblemKinds,
  type ChainReport,
} from './verify/chain/chain-report.js'
export { verifyChain, type VerifyChainOptions } from './verify/chain/verify-chain.js'
export type { AuthenticationDemands } from './transfer/connection/authentication-check.js'
export {
  type ConnectionEnvironment,
  readConnectionEnvironment,
  type ConnectionSettings,
  type ResolvedConnection,
  resolveConnection,
} from './transfer/connection/settings/resolve-connection.js'
export type {
  ConnectionHost,
  ConnectionOptions,
  TlsOptions,
  TlsVersion,
} from './transfer/connection/settings/connection-options.js'
export { type AgentUser, resolveAgent } from './transfer/connection/settings/resolve-agent.js'
export type { Compression } from './files/compression/compression.js'
export type { CompressionSettings } from './files/compression/piece-compressor.js'
export { type SyncMethod, syncMethods } from './files/durable-file.js'
export {
  type BackupFormat,
  type BackupOptions,
  type BackupProgress,
  STANDARD_OUTPUT,
  type WalMethod,
  walMethods,
} from './transfer/client/options.js'
export {
  type BackedUpTablespace,
  type BackupReport,
  type IncrementalReport,
  type BackupStep,
  backupSteps,
  type Bottleneck,
  bottlenecks,
  type WorkerReport,
} from './transfer/client/report.js'
export { type TakenBackup, takeBackup } from './transfer/client/take-backup.js'
export {
  activities as workerActivities,
  type Activity as WorkerActivity,
} from './transfer/client/worker-counters.js'
export type { TablespaceMapping } from './target/tablespace-mapping.js'
export type { SessionNotice } from './transfer/session/backup-session.js'
export type { RunFacts } from './run-facts.js'
export { drillBackup, type DrillOptions } from './drill/drill-backup.js'
export {
  type DrillCheck,
  type DrillEnd,
  drillEnds,
  type DrillFailure,
  type DrillFinding,
  type DrillReport,
} from './drill/report.js'
export type { RepairOptions, RepairProgress, StatedLink } from './repair/options.js'
export { repairBackup } from './repair/repair-backup.js'
export type { CopyIdentity, Reason, ReasonKind, RepairItem, RepairReport } from './repair/report.js'
export { type AwaitFleetOptions, awaitFleet, type FleetProgress } from './fleet/await-fleet.js'
export type { FleetRoot } from './fleet/backup-place.js'
export { type CancelledBackup, cancelOnFleet } from './fleet/cancel-on-fleet.js'
export { type EnqueuedRun, enqueueOnFleet, type EnqueueOptions } from './fleet/enqueue-on-fleet.js'
export type { FleetVerifyOptions } from './fleet/fleet-options.js'
export type { FleetConnection } from './fleet/fleet-queue.js'
export {
  type FailedAttempt,
  type FleetBackup,
  type FleetStatus,
  type FleetWorkerStatus,
  readFleetStatus,
  type RunningShard,
} from './fleet/fleet-status.js'
export {
  type FleetShard,
  type FleetWorkerEvent,
  type FleetWorkerOptions,
  runFleetWorker,
} from './fleet/fleet-worker.js'
export { initFleet } from './fleet/init-fleet.js'
export { type GoodSignature } from './signature/check-signature.js'
export { signFile, type SignOptions, type SignResult } from './signature/sign-file.js'
export type { KnownChecksums, VerifyOptions, VerifyProgress } from './verify/options.js'
export type { ReportedOptions } from './verify/reported-options.js'
export type { WrittenArchives, WrittenFile } from './manifest/contents/written-archives.js'
export { type BackupFacts } from './verify/backup-facts.js'
export {
  type CheckedPages,
  type ExpectedAndFound,
  type NotChecked,
  type Problem,
  type ProblemFacts,
  type ProblemKind,
  problemKinds,
  type SampledFiles,
  type VerifiedManifest,
  type VerifyReport,
  type VerifyStep,
  verifySteps,
  type Warning,
  warningKinds,
} from './verify/report.js'
export { formatReportAsHtml } from './renderings/html/report-page.js'
export { formatReportAsJUnit } from './renderings/junit.js'
export { formatReportForNagios, type NagiosState, nagiosStates } from './renderings/nagios.js'
export { formatReportForPrometheus } from './renderings/prometheus.js'
export {
  type ReportFile,
  type ReportKind,
  reportKinds,
  writeReportFile,
  type WriteReportOptions,
} from './renderings/report-files.js'
export { mergeReports, type MergeReportsOptions } from './shards/merge-reports.js'
export type { Shard } from './shards/plan-shards.js'
export {
  type FetchedBackupPlace,
  type StoredBackupPlace,
  verifyShard,
  type VerifyShardOptions,
  type VerifyShardResult,
} from './shards/verify-shard.js'
export { findBackups, type FoundBackups } from './verify/several/find-backups.js'
export {
  type BackupOutcome,
  type BackupsReport,
  backupsReportOf,
  type OutcomeVerdict,
  outcomeVerdicts,
  type VerificationError,
  verifyBackups,
  type VerifyBackupsOptions,
} from './verify/several/verify-backups.js'
export type { BackupRecord, VerificationRun, FailedRun } from './state/backup-record.js'
export {
  type BackupPresence,
  type BackupStatus,
  readStatus,
  type StatusOptions,
  type StatusReport,
} from './state/status.js'
export { verifyBackup } from './verify/verify-backup.js'
export type { RestoreOptions, RestoreSource } from './restore/options.js'
export type { RestoreReport } from './restore/report.js'
export { restoreBackup } from './restore/restore-backup.js'
export type { StoreOptions } from './source/store/store-settings.js'
export { type VerifyStoredOptions, verifyStoredBackup } from './verify/verify-stored-backup.js'
export { type VerifyFetchedOptions, verifyFetchedBackup } from './verify/verify-fetched-backup.js'
export { type VerifyArchiveOptions, verifyArchiveStream } from './verify/verify-archive-stream.js'
