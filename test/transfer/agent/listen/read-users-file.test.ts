import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readUsersFile } from '../../../../src/transfer/agent/listen/read-users-file.js'
import { formatScramVerifier, makeScramVerifier } from '../../../helpers/scram-verifiers.js'
import { createScratchDirectory } from '../../../helpers/scratch-directory.js'

const scratch = createScratchDirectory()
const verifier = formatScramVerifier(await makeScramVerifier('secret'))
const saltKey = Buffer.alloc(32, 'k')
let number = 0

afterAll(() => scratch.remove())

function write(content: string, mode = 0o600): string {
  const path = join(scratch.path, String(++number))
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

test('users are read, with colons in their names, comments and line ends of any kind', () => {
  const users = readUsersFile(write(`# us\n\nbackup:${verifier}\r\na:b:${verifier}\n`), saltKey)
  for (const name of ['backup', 'a:b']) expect(users.identify(name).isKnown).toBe(true)
  for (const name of ['a', '', '# us']) expect(users.identify(name).isKnown).toBe(false)
})

test('an unknown user has the same salt and iterations, whoever comes and goes', async () => {
  const other = await makeScramVerifier('other', Buffer.alloc(16, 'o'), 600_000)
  const another = formatScramVerifier(other)
  const contents = [`a:${verifier}\nb:${another}`, `b:${another}\na:${verifier}\nc:${another}\nd:${verifier}`]
  const seen = contents.map((content) => {
    const users = readUsersFile(write(content), saltKey)
    return Array.from({ length: 50 }, (_, index) => {
      const { salt, iterations } = users.identify(`x${index}`).verifier
      return { salt: salt.toString('hex'), iterations }
    })
  })
  expect(seen[1]).toEqual(seen[0])
  expect(new Set(seen[0]?.map(({ salt }) => salt)).size).toBe(50)
  // Of those that known users have, each is there.
  expect(new Set(seen[0]?.map(({ iterations }) => iterations))).toEqual(new Set([4096, 600_000]))
})

test.each([
  ['nothing', '', 'USAGE', /^there is no user in file /],
  ['a password', 'backup:secret', 'USAGE', /^line 1 of file ".*": it is not "user:SCRAM-SHA-256\$\.\.\."$/],
  ['a verifier that is cut', `x:${verifier}\nbackup:${verifier.slice(0, -9)}`, 'USAGE', /^line 2 of file /],
  ['no user', `:${verifier}`, 'USAGE', /^line 1 of file /],
  ['a user twice', `x:${verifier}\nx:${verifier}`, 'USAGE', /: user "x" is there twice$/],
])('a file with %s is refused', (_, content, code, message) => {
  const act = (): unknown => readUsersFile(write(content), saltKey)
  expect(act).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  // Not even a part of it.
  expect(act).not.toThrow(new RegExp(verifier.slice(20, 30).replaceAll(/[+/$]/g, '.')))
})

test.each([0o660, 0o604])('a file of mode %o is refused', (mode) => {
  expect(() => readUsersFile(write(`x:${verifier}`, mode), saltKey)).toThrow(/has group or world access$/)
})

test('a file that is not there is refused', () => {
  expect(() => readUsersFile(join(scratch.path, 'missing'), saltKey)).toThrow(/: No such file or directory$/)
})
