import { PbManifestError } from '../../errors.js'
import { displayPathname } from '../../files/pathname.js'
import { openManifest, scanManifest } from '../../manifest/read-manifest.js'
import { nearestVersion } from '../../postgres/versions.js'
import type { ClusterFacts } from '../cluster-files/cluster-files.js'
import type { BackupSession } from '../session/backup-session.js'
import type { FirstFailure } from './first-failure.js'
import { runCommand } from './run-context.js'

/** The manifest of the backup that an incremental one is to build on, which was read and found good. */
export interface PriorManifest {
  readonly path: string
  readonly systemIdentifier: bigint | undefined
}

/**
 * Reads the manifest before anything else is done.
 *
 * @throws {@link PbManifestError} `BAD_MANIFEST`, also of a version that incremental backups cannot build on; `IO`, `ABORTED`
 */
export async function readPriorManifest(path: string, signal: AbortSignal): Promise<PriorManifest> {
  const handler = { file: () => {}, walRange: () => {} }
  const { version, systemIdentifier } = await scanManifest(await openManifest(path, { signal }), handler, {
    signal,
  })
  if (version !== 1) return { path, systemIdentifier }
  throw new PbManifestError(
    'BAD_MANIFEST',
    `backup manifest version 1 does not support incremental backup (in "${displayPathname(path)}")`,
    { hint: 'It is of a server before PostgreSQL 17. Take a full backup.' },
  )
}

/**
 * Hands it to the session, when the cluster is the right one.
 *
 * @throws {@link PbManifestError} `SERVER` when the server cannot; `USAGE` when the prior backup is another cluster's; and what
 * the session throws
 */
export async function uploadPriorManifest(
  session: BackupSession,
  failure: FirstFailure,
  { path, systemIdentifier }: PriorManifest,
  facts: ClusterFacts,
): Promise<void> {
  if (!nearestVersion(facts.majorVersion).hasWalSummaries) {
    throw new PbManifestError('SERVER', 'server does not support incremental backup', {
      hint: `It is of version ${facts.majorVersion}; incremental backups are taken of PostgreSQL 17 and later.`,
    })
  }
  if (systemIdentifier !== facts.systemIdentifier) {
    throw new PbManifestError(
      'USAGE',
      `system identifier in backup manifest is ${systemIdentifier}, but database system identifier is ${facts.systemIdentifier}`,
      { hint: `The backup of "${displayPathname(path)}" is of another cluster.` },
    )
  }
  const { chunks } = await openManifest(path, { signal: failure.signal })
  await runCommand(session, failure, { command: 'UPLOAD_MANIFEST', manifest: oneByOne(chunks()) })
}

async function* oneByOne(chunks: Iterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  yield* chunks
}
