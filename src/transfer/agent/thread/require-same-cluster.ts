import { setTimeout } from 'node:timers/promises'
import { existsSync } from 'node:fs'
import { readControlFile, readControlFileWhileWritten } from '../../../manifest/data-directory-files.js'
import type { ControlFile } from '../../../postgres/control-file.js'
import { parseLsn } from '../../../postgres/lsn.js'
import { sqlError } from '../../cluster-files/sql/sql-error.js'
import type { SqlClient } from '../../connection/gate/connect-sql.js'
import { ask } from '../../connection/answer-watch.js'
import { RefusedError } from '../../commands/refused-error.js'

const MAX_ATTEMPTS = 20
const PAUSE_MS = 25

// These functions read the file, whatever the server knows better in its memory.
const CONTROL_FILE_QUERY = `
  SELECT system_identifier::text AS system,
         pg_catalog.date_part('epoch', pg_control_last_modified)::bigint::text AS time,
         checkpoint_lsn::text AS checkpoint, min_recovery_end_lsn::text AS recovery
    FROM pg_catalog.pg_control_system(), pg_catalog.pg_control_checkpoint(), pg_catalog.pg_control_recovery()`

interface ControlFileRow {
  readonly system: string
  readonly time: string
  readonly checkpoint: string
  readonly recovery: string
}

/**
 * Makes sure that the server at the other end of a connection is the one that runs on a data directory: files of one
 * and backup mode of another would make a backup that nobody notices is none.
 *
 * A standby, or a copy, has the same system identifier. So what is compared is the control file as the server reads it
 * with the file that is here: they are one file, which changes with every checkpoint, or two. `data_directory` would not do: it
 * may be named otherwise there, in a container, and not every role may see it.
 *
 * @throws {@link PbManifestError} `USAGE` when it is another one; `SERVER`, `IO`, `BAD_FILE`
 */
export async function requireSameCluster(client: SqlClient, dataDirectory: string): Promise<void> {
  if (!existsSync(`${dataDirectory}/postmaster.pid`)) {
    throw new RefusedError(
      'wrong-state',
      `no server runs on data directory "${dataDirectory}": it has no "postmaster.pid"`,
    )
  }
  for (let attempt = 1; ; attempt++) {
    const before = await readControl(dataDirectory)
    const theirs = await askServer(client)
    requireSameSystem(before, theirs, dataDirectory)
    // It may have been written between the two looks.
    if (isSame(before, theirs) || isSame(await readControl(dataDirectory), theirs)) return
    if (attempt === MAX_ATTEMPTS) throw notOnDirectory(dataDirectory)
    await setTimeout(PAUSE_MS)
  }
}

async function readControl(dataDirectory: string): Promise<ControlFile | undefined> {
  return await readControlFileWhileWritten(() => readControlFile(dataDirectory))
}

async function askServer(client: SqlClient): Promise<ControlFileRow | undefined> {
  try {
    const [row] = await ask<ControlFileRow & Record<string, unknown>>(client, CONTROL_FILE_QUERY)
    return row
  } catch (error) {
    throw sqlError(error, client.user ?? '')
  }
}

function requireSameSystem(
  ours: ControlFile | undefined,
  theirs: ControlFileRow | undefined,
  dataDirectory: string,
): void {
  const theirIdentifier = BigInt.asUintN(64, BigInt(theirs?.system ?? 0))
  if (ours?.systemIdentifier === theirIdentifier) return
  throw new RefusedError(
    'wrong-state',
    `system identifier differs between data directory "${dataDirectory}" and the server`,
    `The directory has ${String(ours?.systemIdentifier)}, the server ${theirIdentifier}.`,
  )
}

function isSame(ours: ControlFile | undefined, theirs: ControlFileRow | undefined): boolean {
  return (
    ours !== undefined &&
    theirs !== undefined &&
    ours.time === Number(theirs.time) &&
    ours.checkPoint === parseLsn(theirs.checkpoint) &&
    ours.minRecoveryPoint === parseLsn(theirs.recovery)
  )
}

function notOnDirectory(dataDirectory: string): RefusedError {
  return new RefusedError(
    'wrong-state',
    `the server runs on another data directory than "${dataDirectory}"`,
    'The two are of the same system, as a primary and its standby are, but their control files differ.',
  )
}
