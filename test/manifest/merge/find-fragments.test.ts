import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { findFragments } from '../../../src/manifest/merge/find-fragments.js'
import { backupId } from '../fragment-text.js'
import { useScratch } from '../use-scratch.js'

const scratch = useScratch()
const names = [0, 1, 10].map((worker) => `backup_manifest_${backupId}.${worker}`)

beforeEach(() => {
  mkdirSync(join(scratch.path, 'parts/folder'), { recursive: true })
  for (const name of [
    ...names,
    'backup_manifest',
    'backup_manifest_abc.0',
    `backup_manifest_${backupId}.x`,
    'note',
  ]) {
    writeFileSync(join(scratch.path, 'parts', name), '')
  }
})

function inParts(...found: readonly string[]): string[] {
  return found.map((name) => join(scratch.path, 'parts', name))
}

describe('findFragments', () => {
  test('takes a file by any name', async () => {
    expect(await findFragments(inParts('note'))).toEqual(inParts('note'))
  })

  test('takes the fragments in a folder, and nothing else', async () => {
    const found = await findFragments([join(scratch.path, 'parts')])
    expect(found.toSorted()).toEqual(inParts(...names))
  })

  test('takes a link to a folder', async () => {
    symlinkSync('parts', join(scratch.path, 'link'))
    expect(await findFragments([join(scratch.path, 'link')])).toHaveLength(3)
  })

  test('takes the files that a glob matches, in the same order every time', async () => {
    expect(await findFragments([join(scratch.path, 'p*/backup_manifest_*.{0,1,10}')])).toEqual(
      inParts(...names, 'backup_manifest_abc.0').toSorted(),
    )
  })

  test('takes a file whose name looks like a glob', async () => {
    writeFileSync(join(scratch.path, 'parts/[0]*'), '')
    expect(await findFragments(inParts('[0]*'))).toEqual(inParts('[0]*'))
  })

  test('takes a file that is meant twice once', async () => {
    const [first = ''] = inParts(...names)
    const words = [first, join(scratch.path, 'parts'), join(scratch.path, 'parts/../parts', names[0] ?? '')]
    expect((await findFragments(words)).toSorted()).toEqual(inParts(...names))
  })

  test('refuses a word that means nothing', async () => {
    for (const word of [join(scratch.path, 'nothing'), join(scratch.path, 'parts/x*')]) {
      await expect(findFragments([...inParts('note'), word])).rejects.toMatchObject({
        code: 'IO',
        message: `no fragment found: "${word}" is no file and matches none`,
      })
    }
  })

  test('refuses a folder without fragments', async () => {
    const folder = join(scratch.path, 'parts/folder')
    await expect(findFragments([folder])).rejects.toMatchObject({
      code: 'IO',
      message: `no fragment found in directory "${folder}"`,
    })
  })

  test('refuses a way through a file', async () => {
    const [word = ''] = inParts('note/x')
    await expect(findFragments([word])).rejects.toMatchObject({
      code: 'IO',
      message: `could not open file "${word}": Not a directory`,
    })
  })
})
