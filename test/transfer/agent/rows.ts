import type { Client } from 'pg'

/** Runs one command; the values of its rows are text. */
export async function rowsOf(client: Client, text: string): Promise<Record<string, string | null>[]> {
  const { rows } = await client.query<Record<string, string | null>>({
    text,
    types: { getTypeParser: () => (value: string | null) => value },
  } as never)
  return rows
}

/** Starts a backup; returns its id. */
export async function startBackup(client: Client, label = 'test'): Promise<string> {
  const [row] = await rowsOf(client, `START_BACKUP LABEL '${label}' FAST`)
  return row?.['backup_id'] ?? ''
}
