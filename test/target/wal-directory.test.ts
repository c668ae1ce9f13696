import { mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { timelineHistoryFileName } from '../../src/postgres/timeline-history.js'
import { WalDirectory } from '../../src/target/directory-target.js'
import { useScratch } from '../manifest/use-scratch.js'

const scratch = useScratch()

test('a file that was fetched is there whole, with its .done, and not written twice', async () => {
  const directory = join(scratch.path, 'pg_wal')
  await mkdir(join(directory, 'archive_status'), { recursive: true })
  const files = new WalDirectory({ directory, fileMode: 0o640, sync: true })
  await files.writeWhole(timelineHistoryFileName(2), Buffer.from('one two'))
  expect(await readFile(join(directory, '00000002.history'), 'utf8')).toBe('one two')
  expect((await stat(join(directory, '00000002.history'))).mode & 0o777).toBe(0o640)
  expect(await readdir(join(directory, 'archive_status'))).toEqual(['00000002.history.done'])
  await expect(files.writeWhole(timelineHistoryFileName(2), Buffer.alloc(0))).rejects.toMatchObject({
    code: 'IO',
    message: `could not write file "${directory}/00000002.history": File exists`,
  })
})
