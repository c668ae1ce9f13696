import { availableParallelism } from 'node:os'
import type { TestProjectInlineConfiguration, ViteUserConfig } from 'vitest/config'
import { ServersFirst } from './test/helpers/servers-first.js'
import { findTestProjects } from './test/helpers/test-projects.js'

const projects = findTestProjects(import.meta.dirname)

function project(
  name: 'unit' | 'servers',
  rest: ViteUserConfig['test'] = {},
): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: { name, include: [...projects[name]], env: { PBMANIFEST_TEST_PROJECT: name }, ...rest },
  }
}

const config: ViteUserConfig = {
  test: {
    projects: [
      // Many files take less time than a process of their own does. Whoever changes what belongs to the process puts it back.
      project('unit', { isolate: false }),
      project('servers', { isolate: false, globalSetup: ['test/helpers/global-setup.ts'] }),
    ],
    setupFiles: ['test/helpers/setup.ts'],
    sequence: { sequencer: ServersFirst },
    // No measure of how long a test may take: it is there for what hangs, however busy the machine is.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    // A good part of the time is waiting, for servers, disks and programs.
    maxWorkers: Math.max(2, Math.ceil(2.5 * availableParallelism())),
    coverage: { include: ['src/**', 'cli/**'], reporter: ['text-summary', 'html'] },
  },
}

// oxlint-disable-next-line import/no-default-export -- vitest looks for it
export default config
