import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The test files of vitest's projects, relative to the root of the repository. */
export interface TestProjects {
  /** Those that need no PostgreSQL. */
  readonly unit: readonly string[]
  /** Those that do: that import `servers-only.ts`, themselves or by way of other files in `test`. */
  readonly servers: readonly string[]
}

/** Tells the tests apart by what they import, so that no file has to say it, and none can say it wrongly. */
export function findTestProjects(root: string): TestProjects {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `test/${name}`)
    .toSorted()
  const serverFiles = reachServers(root, files)
  const tests = files.filter((file) => file.endsWith('.test.ts'))
  return {
    unit: tests.filter((file) => !serverFiles.has(file)),
    servers: tests.filter((file) => serverFiles.has(file)),
  }
}

function reachServers(root: string, files: readonly string[]): ReadonlySet<string> {
  const importers = new Map<string, string[]>()
  for (const file of files) {
    for (const imported of importedFiles(root, file)) {
      importers.set(imported, [...(importers.get(imported) ?? []), file])
    }
  }
  const reached = new Set(['test/helpers/servers-only.ts'])
  // A set is walked to its end, also when it grows meanwhile.
  for (const file of reached) for (const importer of importers.get(file) ?? []) reached.add(importer)
  return reached
}

// `import type` and `export type` leave nothing behind at run time.
const imports = /^(?:import|export)\b(?! type\b)[^'"]*['"](\.[^'"]+)['"]|\bimport\(\s*['"](\.[^'"]+)['"]/gm

function importedFiles(root: string, file: string): string[] {
  return [...readFileSync(join(root, file), 'utf8').matchAll(imports)]
    .map(([, atTop, inside]) => join(dirname(file), atTop ?? inside ?? '').replace(/\.js$/, '.ts'))
    .filter((path) => existsSync(join(root, path)))
}
