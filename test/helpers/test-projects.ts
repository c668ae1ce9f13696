import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The test files of vitest's projects, relative to the root of the repository. */
export interface TestProjects {
  /** Those that start no server, no program of ours, no browser: tools of the system at most, such as `cp`. */
  readonly unit: readonly string[]
  /**
   * Those that do: that import `servers-only.ts`, themselves or by way of other files in `test`, or `node:child_process`
   * themselves.
   */
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
  const reached = new Set(['test/helpers/servers-only.ts'])
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8')
    if (file.endsWith('.test.ts') && startsPrograms.test(text)) reached.add(file)
    for (const imported of importedFiles(root, file, text)) {
      importers.set(imported, [...(importers.get(imported) ?? []), file])
    }
  }
  // A set is walked to its end, also when it grows meanwhile.
  for (const file of reached) for (const importer of importers.get(file) ?? []) reached.add(importer)
  return reached
}

// `import type` and `export type` leave nothing behind at run time.
const imports = /^(?:import|export)\b(?! type\b)[^'"]*['"](\.[^'"]+)['"]|\bimport\(\s*['"](\.[^'"]+)['"]/gm

const startsPrograms = /^import\b(?! type\b)[^'"]*['"]node:child_process['"]/m

function importedFiles(root: string, file: string, text: string): string[] {
  return [...text.matchAll(imports)]
    .map(([, atTop, inside]) => join(dirname(file), atTop ?? inside ?? '').replace(/\.js$/, '.ts'))
    .filter((path) => existsSync(join(root, path)))
}
