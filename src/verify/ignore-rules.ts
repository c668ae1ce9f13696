import { createRequire } from 'node:module'
import { posix } from 'node:path'
import type micromatch from 'micromatch'
import { encodePathname, type Pathname } from '../files/pathname.js'

/** What a rule without is certainly no glob. */
const GLOB_CHARACTERS = /[*?[\]{}()!+@]/

/** Settings and signals, which may be written into a good backup after its manifest. */
export const filesWrittenLater = ['postgresql.auto.conf', 'recovery.signal', 'standby.signal'] as const

/** What `pg_verifybackup` never looks at: what is written after the manifest, or checked in another way. */
const alwaysIgnored = ['backup_manifest', 'pg_wal', ...filesWrittenLater] as const

/**
 * Which pathnames are not compared with the manifest: each that a rule names or matches, and all below it.
 *
 * A rule is a pathname, of whole components (`global/126` is not a rule for `global/1260`), or a glob. One with
 * a glob's characters in it is taken as both. A `!` in front has no meaning: a rule never ignores all but something.
 *
 * @see src/bin/pg_verifybackup/pg_verifybackup.c, should_ignore_relpath
 */
export class IgnoreRules {
  readonly #literals: ReadonlySet<Pathname>
  /** What each literal rule begins with: most pathnames are decided by one look at it. */
  readonly #firstComponents: ReadonlySet<string>
  /** The same as bytes: a pathname that begins with none of them is not covered; `undefined` when a glob may match it. */
  readonly beginnings: readonly Buffer[] | undefined
  readonly #globs: readonly RegExp[]
  readonly #given: ReadonlySet<Pathname>
  readonly #added: readonly Pathname[]

  /** @param added - files that belong to the backup although no manifest lists them */
  constructor(rules: readonly string[], added: readonly Pathname[] = []) {
    this.#added = added
    const canonical = rules.map(canonicalize)
    this.#given = new Set(canonical)
    this.#literals = new Set<string>([...alwaysIgnored, ...canonical])
    this.#firstComponents = new Set([...this.#literals].map(firstComponent))
    this.#globs = compileGlobs(canonical.filter((rule) => GLOB_CHARACTERS.test(rule)))
    this.beginnings = this.#globs.length > 0 ? undefined : [...this.#firstComponents].map(encodePathname)
  }

  /** Whether this file may be there without being in the manifest. */
  isAdded(pathname: Pathname): boolean {
    return this.#added.includes(pathname)
  }

  /** Whether a rule names or matches precisely this pathname. Enough for a walk that never enters what is ignored. */
  matches(pathname: Pathname): boolean {
    return this.#literals.has(pathname) || this.#globs.some((pattern) => pattern.test(pathname))
  }

  /** Whether there may be a rule for something in this directory, `''` for the topmost. */
  mayMatchIn(directory: Pathname): boolean {
    return directory === '' || this.#globs.length > 0 || this.#firstComponents.has(firstComponent(directory))
  }

  /** Whether a rule covers this pathname, or a directory above it. */
  covers(pathname: Pathname): boolean {
    if (this.#globs.length === 0 && !this.#firstComponents.has(firstComponent(pathname))) return false
    for (let slash = pathname.indexOf('/'); slash !== -1; slash = pathname.indexOf('/', slash + 1)) {
      if (this.matches(pathname.slice(0, slash))) return true
    }
    return this.matches(pathname)
  }

  /** Whether a rule that was given covers it, not only one of those that are always there. */
  coversOnRequest(pathname: Pathname): boolean {
    const above = (end: number): string => (end === -1 ? pathname : pathname.slice(0, end))
    for (let slash = pathname.indexOf('/'); ; slash = pathname.indexOf('/', slash + 1)) {
      const part = above(slash)
      if (this.#given.has(part) || this.#globs.some((pattern) => pattern.test(part))) return true
      if (slash === -1) return false
    }
  }
}

/** @see src/port/path.c, canonicalize_path */
function canonicalize(rule: string): string {
  const canonical = posix.normalize(rule)
  return canonical.endsWith('/') ? canonical.slice(0, -1) : canonical
}

function firstComponent(pathname: Pathname): string {
  const slash = pathname.indexOf('/')
  return slash === -1 ? pathname : pathname.slice(0, slash)
}

/** A glob's wildcards take every name, also one that begins with a dot or holds a line feed. */
function compileGlobs(rules: readonly string[]): RegExp[] {
  if (rules.length === 0) return []
  // Loaded here because most calls have no use for it, and its loading is not free.
  const globs = createRequire(import.meta.url)('micromatch') as typeof micromatch
  return rules
    .filter((rule) => globs.scan(rule).isGlob)
    .map((rule) => new RegExp(globs.makeRe(rule, { dot: true, nonegate: true }).source, 's'))
}
