import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readChainMember } from '../../../src/verify/chain/chain-member.js'
import type { ChainNotChecked, ChainProblem } from '../../../src/verify/chain/chain-report.js'
import type { VerifyReport } from '../../../src/verify/report.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()

function read(control: Buffer): {
  problems: ChainProblem[]
  notChecked: ChainNotChecked[]
  isKnown: boolean
} {
  const directory = join(scratch.path, 'backup')
  mkdirSync(join(directory, 'global'), { recursive: true })
  writeFileSync(join(directory, 'global/pg_control'), control)
  const report = { directory, manifest: { path: 'm', version: 2, walRanges: [] } } as unknown as VerifyReport
  const problems: ChainProblem[] = []
  const notChecked: ChainNotChecked[] = []
  const member = readChainMember(
    report,
    (problem) => problems.push(problem),
    (unknown) => notChecked.push(unknown),
  )
  return { problems, notChecked, isKnown: member.control !== undefined }
}

test('a pg_control of a version that is not known is not judged', () => {
  const control = Buffer.alloc(8192)
  control.writeUInt32LE(2100, 8)
  const { problems, notChecked, isKnown } = read(control)
  expect({ kinds: problems.map(({ kind }) => kind), isKnown }).toEqual({
    kinds: ['backup-label'],
    isKnown: false,
  })
  expect(notChecked).toEqual([
    { what: 'control-file', why: expect.stringContaining('is of a version of PostgreSQL that is not known') },
  ])
})

test('a damaged pg_control is a problem', () => {
  const { problems, notChecked } = read(Buffer.alloc(8192, 'x'))
  expect(problems.map(({ kind }) => kind)).toEqual(['control-file', 'backup-label'])
  expect(notChecked).toEqual([])
})
