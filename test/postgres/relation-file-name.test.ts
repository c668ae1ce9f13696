import { describe, expect, test } from 'vitest'
import {
  isLeftOutRelationFile,
  isTemporaryRelationFileName,
  parseRelationFileName,
  unloggedRelations,
} from '../../src/postgres/relation-file-name.js'
import { nearestVersion } from '../../src/postgres/versions.js'

describe('parseRelationFileName', () => {
  test.each([
    ['1259', 1259, 'main', 0],
    ['16394.1', 16394, 'main', 1],
    ['16394.131072', 16394, 'main', 131072],
    ['16394_fsm', 16394, 'fsm', 0],
    ['16394_vm.12', 16394, 'vm', 12],
    ['16394_init', 16394, 'init', 0],
    ['4294967295', 4294967295, 'main', 0],
  ])('reads %s', (name, relationNumber, fork, segment) => {
    expect(parseRelationFileName(name)).toEqual({ relationNumber, fork, segment })
  })

  test.each([
    '',
    '0',
    '01',
    '4294967296',
    '99999999999',
    '1.0',
    '1.01',
    '1.',
    '1.4294967296',
    '1.2.3',
    '1_',
    '1_main',
    '1_fsmx',
    '1_FSM',
    '1_vm_fsm',
    '1.1_vm',
    'x1',
    '1x',
    '1\n',
    '-1',
    't3_16394',
    'PG_VERSION',
    'pg_filenode.map',
  ])('refuses %j', (name) => {
    expect(parseRelationFileName(name)).toBeUndefined()
  })
})

describe('isTemporaryRelationFileName', () => {
  test.each(['t3_16394', 't3_16394.1', 't12_16394_fsm', 't3_16394_vm.2', 't3_1_init', 't0_0'])(
    'knows %s',
    (name) => {
      expect(isTemporaryRelationFileName(name)).toBe(true)
    },
  )

  test.each(['', 't', 't3', 't_3', 't3_', 'T3_1', 't3_1_', 't3_1_main', 't3_1.', 't3_1x', '16394', 't3_1\n'])(
    'does not take %j for one',
    (name) => {
      expect(isTemporaryRelationFileName(name)).toBe(false)
    },
  )
})

describe('unloggedRelations', () => {
  test('are those with an init fork', () => {
    const names = ['1', '1_init', '2', '2_vm', '3_init.1', 't3_4_init', '5_init', '5.1', 'PG_VERSION']
    expect(unloggedRelations(names)).toEqual(new Set([1, 5]))
  })
})

describe('isLeftOutRelationFile', () => {
  const unlogged = new Set([16394])

  test.each([
    ['base/5', '16394', 13, true],
    ['base/5', '16394.1', 13, true],
    ['base/5', '16394_fsm', 18, true],
    ['base/5', '16394_init', 18, false],
    ['base/5', '16395', 18, false],
    ['base/5', 't3_16395', 13, true],
    ['base/5', 't3_16395_vm.1', 18, true],
    ['base/5', 'PG_VERSION', 18, false],
    ['pg_tblspc/16384/PG_15_202209061/5', '16394', 15, true],
    ['pg_tblspc/16384/PG_15_202209061/5', 't3_16395', 15, true],
    ['pg_tblspc/16384/PG_15_202209061', '16394', 15, false],
    ['global', '16394', 16, false],
    ['global', '16394', 17, true],
    ['global', '16394_init', 17, false],
    ['global', 't3_16395', 17, false],
    ['base', '16394', 18, false],
    ['base/5/6', '16394', 18, false],
    ['base/five', '16394', 18, false],
    ['extra/5', '16394', 18, false],
    ['extra/global', '16394', 18, false],
  ])('whether %s/%s of version %d is left out: %s', (directory, name, major, isLeftOut) => {
    expect(isLeftOutRelationFile(directory, name, unlogged, nearestVersion(major))).toBe(isLeftOut)
  })
})
