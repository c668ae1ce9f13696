import type { PgClient } from './pg-connection.js'
import type { QueryArrayConfig, QueryConfig, QueryResultRow } from 'pg'
import { expectAnswer } from './answer-watch.js'

/**
 * The rows of the answer to one question; of several results, which only a server that does not keep to the protocol
 * gives, the last. An answer is due (`--io-timeout`).
 *
 * @throws what `pg` throws
 */
export async function ask<Row extends QueryResultRow | unknown[]>(
  client: PgClient,
  query: string | QueryConfig | QueryArrayConfig,
): Promise<readonly Row[]> {
  const hasCome = expectAnswer(client.connection.stream)
  try {
    const answer = client.query(query as string)
    const results = [(await answer) as { readonly rows?: readonly Row[] }].flat()
    return results.at(-1)?.rows ?? []
  } finally {
    hasCome()
  }
}
