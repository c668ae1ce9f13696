import type { ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = {
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    coverage: { include: ['src/**', 'cli/**'], reporter: ['text-summary', 'html'] },
  },
}

// oxlint-disable-next-line import/no-default-export -- vitest looks for it
export default config
