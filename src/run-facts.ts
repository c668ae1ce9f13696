import { hostname } from 'node:os'
import { version } from './version.js'

/** By which version, where and when something was done. */
export interface RunFacts {
  readonly pbmanifestVersion: string
  /** The name of the machine that it ran on. */
  readonly host: string
  /** UTC, by ISO 8601, with milliseconds: `2026-11-22T21:36:05.123Z`. */
  readonly startedAt: string
  readonly endedAt: string
}

/**
 * Takes down when something begins.
 *
 * @returns to be called at its end; a clock that is set meanwhile does not make it take longer
 */
export function startRun(): () => RunFacts {
  const start = Date.now()
  const startedAt = new Date(start).toISOString()
  const origin = performance.now()
  return () => ({
    pbmanifestVersion: version,
    host: hostname(),
    startedAt,
    endedAt: new Date(start + performance.now() - origin).toISOString(),
  })
}
