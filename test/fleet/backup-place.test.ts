import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { findPlace, placeOf, UnseenBackupError } from '../../src/fleet/backup-place.js'

const base = mkdtempSync(join(tmpdir(), 'pbmanifest-place-'))
const inside = join(base, 'backups')
mkdirSync(join(inside, 'monday', 'deep'), { recursive: true })
mkdirSync(join(base, 'backups-secret'))
mkdirSync(join(base, 'secret'))
symlinkSync(join(base, 'secret'), join(inside, 'out'))
symlinkSync('..', join(inside, 'up'))
symlinkSync('monday', join(inside, 'today'))
symlinkSync('loop', join(inside, 'loop'))

afterAll(() => rmSync(base, { recursive: true }))

const roots = [{ directory: inside }, { name: 'night', directory: inside }]

test.each([
  ['', `${base}/backups/monday`],
  ['', `${base}/backups/monday/`],
  ['', `${base}/backups//./monday`],
  ['', `${base}/backups/today`],
  ['night', 'monday'],
  ['night', './monday'],
  ['night', 'monday/deep'],
])('finds what is below a root: %s %s', async (root, path) => {
  expect(await findPlace({ root, path }, roots)).toMatch(/backups\/(?:monday|today)/)
})

test.each([
  ['', `${base}/secret`],
  ['', `${base}/backups-secret`],
  ['', `${base}/backups/../secret`],
  ['', `${base}/backups/monday/../../secret`],
  ['', `${base}/backups/..`],
  ['', `${base}/backups/out`],
  ['', `${base}/backups/out/`],
  ['', `${base}/backups/up/secret`],
  ['', `${base}/backups/loop`],
  ['', `${base}/backups/nothing`],
  ['', `${base}/backups/monday\0/x`],
  ['', 'monday'],
  ['', ''],
  ['', '/'],
  ['night', '../secret'],
  ['night', 'monday/../../secret'],
  ['night', '..'],
  ['night', ''],
  ['night', 'out'],
  ['night', 'up'],
  ['night', '/etc'],
  ['night', `${base}/backups/monday`],
  ['day', 'monday'],
  ['__proto__', 'monday'],
])('refuses what is not: %s %j', async (root, path) => {
  await expect(findPlace({ root, path }, roots)).rejects.toThrow(UnseenBackupError)
})

test.each([
  ['/b/x', [], { root: '', path: '/b/x' }],
  ['/b/x/', [{ directory: '/b' }], { root: '', path: '/b/x' }],
  ['/b/x', [{ name: 'n', directory: '/b/' }], { root: 'n', path: 'x' }],
  ['/b', [{ name: 'n', directory: '/b' }], { root: 'n', path: '.' }],
  ['/bb', [{ name: 'n', directory: '/b' }], { root: '', path: '/bb' }],
  [
    '/b/c/x',
    [
      { name: 'n', directory: '/b' },
      { name: 'm', directory: '/b/c' },
    ],
    { root: 'm', path: 'x' },
  ],
  ['n:x/y', [], { root: 'n', path: 'x/y' }],
])('names the place of %s', (backup, from, place) => {
  expect(placeOf(backup, from)).toEqual(place)
})
