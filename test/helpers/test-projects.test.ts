import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createScratchDirectory, type ScratchDirectory } from './scratch-directory.js'
import { findTestProjects } from './test-projects.js'

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
  mkdirSync(join(scratch.path, 'test/helpers'), { recursive: true })
  write('helpers/servers-only', '')
  write('helpers/cluster', `import './servers-only.js'`)
  write('helpers/backups', `export {\n  createCluster,\n} from './cluster.js'`)
})

afterEach(() => scratch.remove())

function write(name: string, text: string): void {
  writeFileSync(join(scratch.path, 'test', `${name}.ts`), text)
}

test.each([
  { imports: `import './helpers/servers-only.js'`, project: 'servers' },
  {
    imports: `import {\n  createCluster,\n  type Cluster,\n} from './helpers/cluster.js'`,
    project: 'servers',
  },
  { imports: `import * as backups from './helpers/backups.js'`, project: 'servers' },
  { imports: `  const { createCluster } = await import('./helpers/cluster.js')`, project: 'servers' },
  {
    imports: `import { readFile } from 'node:fs'\nimport { spawn } from 'node:child_process'`,
    project: 'servers',
  },
  { imports: `import type { ChildProcess } from 'node:child_process'`, project: 'unit' },
  { imports: `import type { Cluster } from './helpers/cluster.js'`, project: 'unit' },
  { imports: `import { createCluster } from 'pbmanifest'`, project: 'unit' },
  { imports: '', project: 'unit' },
] as const)('a test with "$imports" is one of $project', ({ imports, project }) => {
  write('one.test', imports)
  const found = findTestProjects(scratch.path)
  expect(found).toEqual({ unit: [], servers: [], [project]: ['test/one.test.ts'] })
})

test('a unit test that gets at a server in a way that is not seen fails', async () => {
  const hidden = './cluster.js'
  await expect(import(hidden)).rejects.toThrow('a unit test may not start a program')
})
