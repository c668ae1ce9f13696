import { type Bottleneck, bottlenecks } from './report.js'
import type { Activity } from './worker-counters.js'

/** What is known of where the time of all workers went. */
export interface TimeSpent {
  /** Of each worker. */
  readonly seconds: readonly Readonly<Record<Activity, number>>[]
  /**
   * How often the server was seen to have bytes ready that the network did not take, of all the times when it was looked
   * at; 0 to 1.
   */
  readonly networkShare: number
}

/** Divides the time of all workers among what they waited for. */
export function shareTime({ seconds, networkShare }: TimeSpent): Record<Bottleneck, number> {
  const sum = (activity: Activity): number => seconds.reduce((sum, worker) => sum + worker[activity], 0)
  const waiting = sum('waiting')
  const parts = {
    server: waiting * (1 - networkShare),
    network: waiting * networkShare,
    client: sum('processing'),
    writing: sum('writing') + sum('syncing'),
    'rate-limit': sum('throttled'),
  }
  const total = bottlenecks.reduce((sum, name) => sum + parts[name], 0)
  const share = (name: Bottleneck): number => (total === 0 ? 0 : parts[name] / total)
  return Object.fromEntries(bottlenecks.map((name) => [name, share(name)])) as Record<Bottleneck, number>
}

/** The largest share; the first of equal ones. */
export function findBottleneck(shares: Readonly<Record<Bottleneck, number>>): Bottleneck {
  return bottlenecks.reduce((most, name) => (shares[name] > shares[most] ? name : most))
}
