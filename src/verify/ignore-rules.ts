import { posix } from 'node:path'
import micromatch from 'micromatch'
import type { Pathname } from '../files/pathname.js'

/** What `pg_verifybackup` never looks at: what is written after the manifest, or checked in another way. */
const alwaysIgnored = [
  'backup_manifest',
  'pg_wal',
  'postgresql.auto.conf',
  'recovery.signal',
  'standby.signal',
] as const

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
  readonly #globs: readonly RegExp[]

  constructor(rules: readonly string[]) {
    const canonical = rules.map(canonicalize)
    this.#literals = new Set<string>([...alwaysIgnored, ...canonical])
    this.#globs = canonical.filter(isGlob).map(patternOf)
  }

  /** Whether a rule names or matches precisely this pathname. Enough for a walk that never enters what is ignored. */
  matches(pathname: Pathname): boolean {
    return this.#literals.has(pathname) || this.#globs.some((pattern) => pattern.test(pathname))
  }

  /** Whether a rule covers this pathname, or a directory above it. */
  covers(pathname: Pathname): boolean {
    for (let slash = pathname.indexOf('/'); slash !== -1; slash = pathname.indexOf('/', slash + 1)) {
      if (this.matches(pathname.slice(0, slash))) return true
    }
    return this.matches(pathname)
  }
}

/** @see src/port/path.c, canonicalize_path */
function canonicalize(rule: string): string {
  const canonical = posix.normalize(rule)
  return canonical.endsWith('/') ? canonical.slice(0, -1) : canonical
}

function isGlob(rule: string): boolean {
  return micromatch.scan(rule).isGlob
}

/** A glob's wildcards take every name, also one that begins with a dot or holds a line feed. */
function patternOf(glob: string): RegExp {
  const { source } = micromatch.makeRe(glob, { dot: true, nonegate: true })
  return new RegExp(source, 's')
}
