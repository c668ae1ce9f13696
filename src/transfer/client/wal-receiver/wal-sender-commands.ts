import type { QueryArrayConfig } from 'pg'
import { PbManifestError } from '../../../errors.js'
import { displayPathname } from '../../../files/pathname.js'
import { parseTimelineHistory, timelineHistoryFileName } from '../../../postgres/timeline-history.js'
import { nearestVersion } from '../../../postgres/versions.js'
import type { WalFileName } from '../../../postgres/wal-segment.js'
import { ask } from '../../connection/answer-watch.js'
import type { ReplicationClient } from '../../connection/gate/connect-replication.js'
import { serverError } from '../../connection/server-error.js'

/** Which slot keeps the WAL that is streamed from being removed. */
export type WalSlot =
  | { readonly kind: 'temporary'; readonly name: string }
  /** It stays. */
  | { readonly kind: 'created'; readonly name: string }
  | { readonly kind: 'existing'; readonly name: string }
  | { readonly kind: 'none' }

/** Makes the slot, or looks whether the existing one is there (where the server can tell). */
export async function prepareSlot(client: ReplicationClient, slot: WalSlot): Promise<void> {
  switch (slot.kind) {
    case 'temporary':
      // Understood by every version, unlike the list in parentheses.
      await run(client, `CREATE_REPLICATION_SLOT ${quote(slot.name)} TEMPORARY PHYSICAL RESERVE_WAL`)
      return
    case 'created':
      await run(client, `CREATE_REPLICATION_SLOT ${quote(slot.name)} PHYSICAL RESERVE_WAL`)
      return
    case 'existing':
      await requireSlot(client, slot.name)
      return
    case 'none':
      return
    default:
      slot satisfies never
  }
}

/** Drops a slot that this connection has made, and uses no more. */
export async function dropSlot(client: ReplicationClient, name: string): Promise<void> {
  await run(client, `DROP_REPLICATION_SLOT ${quote(name)}`)
}

async function requireSlot(client: ReplicationClient, name: string): Promise<void> {
  const [version] = await run(client, 'SHOW server_version_num')
  if (!nearestVersion(Math.floor(Number(version?.[0]) / 10_000)).canReadReplicationSlot) return
  const [row] = await run(client, `READ_REPLICATION_SLOT ${quote(name)}`)
  if (row?.[0] === null) throw new PbManifestError('SERVER', `replication slot "${name}" does not exist`)
}

export interface TimelineHistoryFile {
  readonly name: WalFileName
  readonly content: Buffer
}

/**
 * Fetches the history file of a timeline. Timeline 1 has none.
 *
 * @throws {@link PbManifestError} `SERVER`, also when it has another name, or is none; `BAD_FILE` when it makes no sense
 */
export async function fetchTimelineHistory(
  client: ReplicationClient,
  timeline: number,
): Promise<TimelineHistoryFile> {
  const command = `TIMELINE_HISTORY ${timeline}`
  const [row] = await run(client, command)
  const [reported = '', content = ''] = row ?? []
  const name = timelineHistoryFileName(timeline)
  if (reported !== name) {
    throw new PbManifestError(
      'SERVER',
      `server reported unexpected history file name for timeline ${timeline}: "${displayPathname(reported ?? '')}"`,
    )
  }
  // What a server could not read must not be in a backup.
  parseTimelineHistory(content ?? '', timeline, name)
  return { name, content: Buffer.from(content ?? '', 'utf8') }
}

/** Slots are named in lower case, digits and underscores; a quoted name cannot be taken for a keyword. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Rows as the server's text: 13 calls the content of a history file bytea, though it is the bare content. */
async function run(
  client: ReplicationClient,
  text: string,
): Promise<readonly (readonly (string | null)[])[]> {
  const query: QueryArrayConfig = {
    text,
    rowMode: 'array',
    types: { getTypeParser: () => (value: string | null) => value },
  }
  try {
    return await ask<(string | null)[]>(client, query)
  } catch (error) {
    throw serverError(`could not send replication command "${text}"`, error)
  }
}
