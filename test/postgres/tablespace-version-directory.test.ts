import { expect, test } from 'vitest'
import { tablespaceVersionDirectory } from '../../src/postgres/tablespace-version-directory.js'

test('names the directory by major and catalog version', () => {
  expect(tablespaceVersionDirectory(18, 202506291)).toBe('PG_18_202506291')
})
