import type { RealChecksumAlgorithm } from '../manifest/checksum/checksum-algorithm.js'
import type { VerifyReport } from './report.js'

/** What computed checksums of an algorithm: the name of a package, or `node:crypto`. */
export interface EngineUse {
  readonly algorithm: RealChecksumAlgorithm
  readonly engine: string
}

/** What computed checksums, by algorithm, as the report says it. */
export function nameEngines(uses: readonly EngineUse[]): VerifyReport['engines'] {
  const names = new Map<RealChecksumAlgorithm, Set<string>>()
  for (const { algorithm, engine } of uses) {
    names.set(algorithm, (names.get(algorithm) ?? new Set()).add(engine))
  }
  return Object.fromEntries([...names].map(([algorithm, set]) => [algorithm, [...set].toSorted().join(', ')]))
}
