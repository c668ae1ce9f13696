import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Tests with servers first: they are the longest, and wait the most. The short ones fill what is left at the end, where a
 * long one would run alone.
 */
export class ServersFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- a method of vitest's, not of an array
    const sorted = await super.sort(files)
    return [...sorted.filter(needsServer), ...sorted.filter((file) => !needsServer(file))]
  }
}

function needsServer({ project }: TestSpecification): boolean {
  return project.name === 'servers'
}
