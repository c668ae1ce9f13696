import type { Cluster } from '../test/helpers/cluster.js'

/** Fills some MB of tables in the manner of pgbench, one of them in a tablespace, and what a backup leaves out. */
export async function loadSampleData(cluster: Cluster): Promise<void> {
  await cluster.createTablespace('archive')
  await cluster.sql(`
    CREATE TABLE accounts AS
      SELECT n AS id, n % 10 AS branch, 0 AS balance, repeat(' ', 84) AS filler FROM generate_series(1, 100000) AS n;
    ALTER TABLE accounts ADD PRIMARY KEY (id);
    CREATE TABLE history TABLESPACE archive AS
      SELECT n AS account, n % 7 AS delta, clock_timestamp() AS made_at FROM generate_series(1, 50000) AS n;
    CREATE UNLOGGED TABLE scratchpad AS SELECT n FROM generate_series(1, 1000) AS n;
    CHECKPOINT`)
}

/** Changes about a tenth of the accounts. */
export async function changeSampleData(cluster: Cluster): Promise<void> {
  await cluster.sql('UPDATE accounts SET balance = balance + 1 WHERE branch = 3')
}
