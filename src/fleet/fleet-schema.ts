import { isPbManifestError, PbManifestError } from '../errors.js'
import { ask } from '../transfer/connection/answer-watch.js'
import type { SqlClient } from '../transfer/connection/gate/connect-sql.js'
import { DatabaseError } from '../transfer/connection/pg.js'
import { serverError } from '../transfer/connection/server-error.js'

/** Of the tables that {@link fleetTables} makes. */
const FLEET_VERSION = 1

/** Where the queue is when nobody says otherwise. */
export const DEFAULT_SCHEMA = 'pbmanifest'

/** `pg-boss` writes the name into its statements without quotes, and makes names of it that have to be longer. */
export function requireSchemaName(schema: string): string {
  if (/^[a-z_][a-z0-9_]{0,49}$/.test(schema)) return schema
  throw new PbManifestError('USAGE', `invalid schema name "${schema}"`, {
    hint: 'It has small letters, digits and underscores, at most 50, and begins with none of the digits.',
  })
}

/**
 * The tables of ours, beside those of `pg-boss`, which hands out the shards. A shard that is being verified has a worker and a
 * lease, which that worker renews; `attempt` tells one lease of a shard from the next. The first fragment of a shard is the one
 * that counts. All times are the server's.
 */
export function fleetTables(schema: string): string {
  return `
    CREATE TABLE ${schema}.fleet (version int PRIMARY KEY, made_by text NOT NULL);
    CREATE TABLE ${schema}.backup (
      id uuid PRIMARY KEY,
      run uuid NOT NULL,
      place int NOT NULL,
      backup text NOT NULL,
      root text NOT NULL,
      path text NOT NULL,
      options jsonb NOT NULL,
      queue text NOT NULL,
      -- 0: not divided yet
      shards int NOT NULL,
      state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed')),
      enqueued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      ended_at timestamptz,
      verdict text,
      error jsonb,
      UNIQUE (run, place)
    );
    CREATE TABLE ${schema}.shard (
      backup uuid NOT NULL REFERENCES ${schema}.backup ON DELETE CASCADE,
      shard int NOT NULL,
      job uuid NOT NULL,
      attempt int NOT NULL DEFAULT 0,
      worker uuid,
      worker_name text,
      taken_at timestamptz,
      seen_at timestamptz,
      lease interval,
      bytes_done bigint NOT NULL DEFAULT 0,
      bytes_total bigint NOT NULL DEFAULT 0,
      PRIMARY KEY (backup, shard)
    );
    CREATE INDEX ON ${schema}.shard (seen_at) WHERE worker IS NOT NULL;
    CREATE TABLE ${schema}.fragment (
      backup uuid NOT NULL REFERENCES ${schema}.backup ON DELETE CASCADE,
      shard int NOT NULL,
      worker_name text NOT NULL,
      handed_in_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      content bytea NOT NULL,
      PRIMARY KEY (backup, shard)
    );
    CREATE TABLE ${schema}.failure (
      backup uuid NOT NULL REFERENCES ${schema}.backup ON DELETE CASCADE,
      shard int NOT NULL,
      attempt int NOT NULL,
      worker uuid NOT NULL,
      worker_name text NOT NULL,
      at timestamptz NOT NULL DEFAULT clock_timestamp(),
      code text NOT NULL,
      message text NOT NULL,
      is_unseen boolean NOT NULL,
      counts boolean NOT NULL,
      PRIMARY KEY (backup, shard, attempt)
    );
    CREATE TABLE ${schema}.worker (
      id uuid PRIMARY KEY,
      name text NOT NULL,
      host text NOT NULL,
      pid int NOT NULL,
      version text NOT NULL,
      queues text[] NOT NULL,
      started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      lease interval NOT NULL
    );
    INSERT INTO ${schema}.fleet (version, made_by) VALUES (${FLEET_VERSION}, '@version@')`
}

/**
 * The version of the queue in a schema.
 *
 * @returns `undefined` when there is none
 * @throws {@link PbManifestError} `SERVER`, also for a version that this one does not know
 */
export async function readVersion(client: SqlClient, schema: string): Promise<number | undefined> {
  let found: number | undefined
  try {
    const [row] = await ask<{ version: number }>(client, `SELECT version FROM ${schema}.fleet`)
    found = row?.version
  } catch (error) {
    if (isNotThere(error)) return undefined
    throw serverError(attemptAt(schema), error)
  }
  if (found === undefined || found <= FLEET_VERSION) return found
  throw new PbManifestError(
    'SERVER',
    `the queue in schema "${schema}" is of version ${found} of its format, which this version of pbmanifest does not know`,
    { hint: 'A newer pbmanifest has made it: use that one, or a queue in another schema.' },
  )
}

/** What could not be done, for the message of an error. */
export function attemptAt(schema: string): string {
  return `could not use the queue in schema "${schema}"`
}

/** The SQLSTATE of what a server has refused. */
export function sqlStateOf(error: unknown): string | undefined {
  const cause = isPbManifestError(error) ? error.cause : error
  return cause instanceof DatabaseError ? cause.code : undefined
}

/** `undefined_table`, `invalid_schema_name` */
function isNotThere(error: unknown): boolean {
  return ['42P01', '3F000'].includes(sqlStateOf(error) ?? '')
}
