import { availableParallelism } from 'node:os'
import type { ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = {
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Much of the time is waiting for servers: more than the default of one less than there are processors.
    maxWorkers: Math.max(2, availableParallelism()),
    coverage: { include: ['src/**', 'cli/**'], reporter: ['text-summary', 'html'] },
  },
}

// oxlint-disable-next-line import/no-default-export -- vitest looks for it
export default config
