import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeSystemError, ioError } from '../../src/files/system-error.js'
import { plainEnvironment } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

let scratch: ScratchDirectory

beforeAll(() => {
  scratch = createScratchDirectory()
  mkdirSync(join(scratch.path, 'directory'))
  symlinkSync('loop', join(scratch.path, 'loop'))
})

afterAll(() => scratch.remove())

function errorOf(path: string): unknown {
  try {
    return readFileSync(path)
  } catch (error) {
    return error
  }
}

test.each([
  ['ENOENT', 'nothing'],
  ['EISDIR', 'directory'],
  ['ELOOP', 'loop'],
  ['ENAMETOOLONG', 'n'.repeat(256)],
])('%s is told in the words of the system', (code, name) => {
  const path = join(scratch.path, name)
  const error = errorOf(path)
  const description = describeSystemError(error)
  const words = execFileSync('bash', ['-c', 'cat "$1" 2>&1 || true', 'bash', path], {
    env: plainEnvironment(),
  })
  expect(description).toMatchObject({ code })
  expect(words.toString()).toContain(`: ${description?.message}\n`)
  expect(ioError('could not open it', error)).toMatchObject({
    code: 'IO',
    message: `could not open it: ${description?.message}`,
    cause: error,
  })
})

test.each([new Error('x'), new TypeError('y'), 'z', undefined])(
  '%s is not of the system, and left as it is',
  (value) => {
    expect(describeSystemError(value)).toBeUndefined()
    expect(ioError('could not', value)).toBe(value)
  },
)
