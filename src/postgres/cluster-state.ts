/** The state of a database cluster as pg_control has it, in the words of pg_controldata. */
export type ClusterState =
  | 'starting up'
  | 'shut down'
  | 'shut down in recovery'
  | 'shutting down'
  | 'in crash recovery'
  | 'in archive recovery'
  | 'in production'

const states: readonly ClusterState[] = [
  'starting up',
  'shut down',
  'shut down in recovery',
  'shutting down',
  'in crash recovery',
  'in archive recovery',
  'in production',
]

/**
 * Names the state that pg_control gives as a number.
 *
 * @returns `undefined` for a number without a meaning.
 * @see src/include/catalog/pg_control.h (`DBState`), src/bin/pg_controldata/pg_controldata.c (`dbState`)
 */
export function clusterStateOfNumber(value: number): ClusterState | undefined {
  return states[value]
}
