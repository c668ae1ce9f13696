import { spawnSync } from 'node:child_process'
import { openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllowedSigners } from '../../src/signature/allowed-signers.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { describeWithOpenSsh, keyKinds, makeKey, signBySshKeygen } from '../helpers/ssh-programs.js'
import { checkFile } from './check-file.js'

const identity = 'ops@example.com'
const namespace = 'backup_manifest@pbmanifest'

const principals = fc.oneof(
  fc.constantFrom(
    identity,
    '*',
    'ops@*',
    '"ops@example.com"',
    '"a b,ops@example.com"',
    'o"ps@example.com"',
    'dba,!ops*,*',
    '*,!dba',
  ),
  fc.string({ unit: fc.constantFrom('o', 'p', 's', '*', '?', '@', '!', ',', '"', '.', '\\'), maxLength: 8 }),
)

const option = fc.oneof(
  fc.constantFrom('namespaces="*"', 'namespaces="*@pbmanifest,!x"', 'namespaces="file"', 'cert-authority'),
  fc.constantFrom('valid-after="20200101"', 'VALID-BEFORE="20990101120000Z"', 'valid-before="20210101UTC"'),
  fc.constantFrom(
    'valid-after="19700101Z"',
    'valid-before="2021"',
    'namespaces="a\\"b,*"',
    'x=y',
    'namespaces',
  ),
)

const blank = fc.constantFrom(' ', '\t', '   ', ' \t')

describeWithOpenSsh('a file of allowed signers', () => {
  let scratch: ScratchDirectory
  let file: string
  let publicKeys: readonly string[] = []

  beforeAll(async () => {
    scratch = createScratchDirectory()
    file = join(scratch.path, 'signed')
    writeFileSync(file, 'what is signed\n')
    const key = await makeKey(scratch.path, 'key')
    const another = await makeKey(scratch.path, 'another', keyKinds.ecdsa256)
    await signBySshKeygen(key, namespace, file)
    publicKeys = [key, another].map((path) => readFileSync(`${path}.pub`, 'latin1').trim())
  })
  afterAll(() => scratch.remove())

  function oracle(signers: string): boolean {
    const args = ['-Y', 'verify', '-f', signers, '-I', identity, '-n', namespace, '-s', `${file}.sig`]
    const stdin = openSync(file, 'r')
    return (
      spawnSync('ssh-keygen', args, { stdio: [stdin, 'ignore', 'ignore'], env: { TZ: 'UTC' } }).status === 0
    )
  }

  function ours(allowedSigners: string): boolean {
    return checkFile(file, namespace, { allowedSigners, signerIdentity: identity }).signature !== null
  }

  test('allows whom ssh-keygen allows by it, and nobody else', () => {
    const key = fc.constantFrom(0, 0, 0, 1).map((index) => publicKeys[index] ?? '')
    const line = fc
      .tuple(fc.constantFrom('', '', ' '), principals, blank, fc.array(option, { maxLength: 2 }), blank, key)
      .map(([before, who, blank1, options, blank2, key]) =>
        [before, who, blank1, options.join(','), options.length > 0 ? blank2 : '', key].join(''),
      )
    const lines = fc.array(fc.oneof({ weight: 5, arbitrary: line }, fc.constantFrom('', '# no', ' \t')), {
      maxLength: 3,
    })
    const path = join(scratch.path, 'allowed_signers')
    const seen = { good: 0, bad: 0, goodBehindFault: 0 }
    fc.assert(
      fc.property(lines, fc.constantFrom('\n', '\r\n'), (lines, ending) => {
        writeFileSync(path, lines.map((line) => line + ending).join(''), 'latin1')
        const isGood = ours(path)
        seen[isGood ? 'good' : 'bad']++
        if (isGood && parseAllowedSigners(readFileSync(path)).some((line) => 'fault' in line))
          seen.goodBehindFault++
        expect(isGood).toBe(oracle(path))
      }),
      { numRuns: 300 },
    )
    expect(Math.min(seen.good, seen.bad, seen.goodBehindFault)).toBeGreaterThan(3)
  })
})
