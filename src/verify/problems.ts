import { displayPathname, encodePathname, isUtf8Pathname, type Pathname } from '../files/pathname.js'
import { ProblemStore } from './problem-store.js'
import type { FileRows } from './file-table/file-rows.js'
import { type Problem, type ProblemFacts, type ProblemKind, problemKinds } from './report.js'
import { placeInCluster, type ProblemPlace, type VerificationShare } from './share.js'

/** Thrown to end the steps when the first problem is enough. */
export class StopAtFirstProblem extends Error {}

/** The problems found so far, in the order of the report. */
export class ProblemList implements Iterable<Problem> {
  readonly #problems = new ProblemStore()
  readonly #counts = Object.fromEntries(problemKinds.map((kind) => [kind, 0])) as Record<ProblemKind, number>
  readonly #onProblem: ((problem: Problem) => void) | undefined
  readonly #isFirstEnough: boolean
  readonly #onPlace: VerificationShare['onProblem'] | undefined
  #isEmpty = true

  /** @param onPlace - is told where each problem stands, when it is one of a share of the backup */
  constructor(
    onProblem: ((problem: Problem) => void) | undefined,
    isFirstEnough: boolean,
    onPlace?: VerificationShare['onProblem'],
  ) {
    this.#onProblem = onProblem
    this.#isFirstEnough = isFirstEnough
    this.#onPlace = onPlace
  }

  get isEmpty(): boolean {
    return this.#isEmpty
  }

  [Symbol.iterator](): Iterator<Problem> {
    return this.#problems[Symbol.iterator]()
  }

  /**
   * @param place - default: behind the files, in the order in which they are found
   * @throws {@link StopAtFirstProblem} when that was asked for
   */
  add(problem: Problem, place: ProblemPlace = placeInCluster): void {
    this.#isEmpty = false
    this.#problems.add(problem)
    this.#counts[problem.kind]++
    this.#onProblem?.(problem)
    this.#onPlace?.(problem, place)
    if (this.#isFirstEnough) throw new StopAtFirstProblem()
  }

  /** Whether there is one with this file, or with a directory above it. */
  concern(pathname: Pathname): boolean {
    for (const { path } of this) if (path === pathname || pathname.startsWith(`${path}/`)) return true
    return false
  }

  /** How many there are of each kind. */
  count(): Record<ProblemKind, number> {
    return { ...this.#counts }
  }
}

/** What is known when a file of the manifest has another checksum. */
export function checksumFacts(table: FileRows, row: number, found: string): ProblemFacts {
  const algorithm = table.algorithm(row)
  return algorithm === undefined ? {} : { checksum: { algorithm, expected: table.checksum(row), found } }
}

/**
 * A problem with one file.
 *
 * @param message - given the file's name as it is shown
 */
export function fileProblem(
  kind: ProblemKind,
  pathname: Pathname,
  message: (name: string) => string,
  facts: ProblemFacts = {},
  detail?: string,
): Problem {
  return {
    kind,
    ...(isUtf8Pathname(pathname)
      ? { path: pathname }
      : { encodedPath: encodePathname(pathname).toString('hex') }),
    message: message(displayPathname(pathname)),
    ...(detail !== undefined && { detail }),
    ...facts,
  }
}
