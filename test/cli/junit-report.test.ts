import { readFileSync, writeFileSync } from 'node:fs'
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { validateXML } from 'xmllint-wasm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { writeBackupOfFiles } from '../state/backup-of-files.js'
import { runCommandLine } from './run-command-line.js'
import { writeSmallBackup } from './small-backup.js'

const schema = readFileSync(new URL('../fixtures/junit.xsd', import.meta.url), 'utf8')

let scratch: ScratchDirectory
let backup: string
let file: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  backup = await writeSmallBackup(scratch.path)
  file = join(scratch.path, 'report.xml')
})

afterEach(() => scratch.remove())

/** What is wrong with a document, by the schema and as XML. */
async function faultsOf(xml: string): Promise<string[]> {
  const { errors } = await validateXML({ xml: { fileName: 'report.xml', contents: xml }, schema })
  return errors.map(({ message }) => message)
}

/** Runs `verify`, and reads the file that it has written. */
async function verify(
  ...args: string[]
): Promise<{ status: number | null; xml: string; cases: Map<string, string> }> {
  const { status } = await runCommandLine(['verify', '-q', '--report', `junit=${file}`, ...args])
  const xml = readFileSync(file, 'utf8')
  expect(await faultsOf(xml)).toEqual([])
  const found = xml.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>\s*<(\w+))/g)
  return { status, xml, cases: new Map([...found].map(([, name = '', result = 'passed']) => [name, result])) }
}

test('the schema refuses what is no such document', async () => {
  expect(await faultsOf('<testsuites/>')).not.toEqual([])
  expect(await faultsOf('<testsuites><testsuite name="a"/></testsuites>')).not.toEqual([])
  expect(await faultsOf('no xml')).not.toEqual([])
})

test('a backup that verifies has passed what was looked for, and skipped what was not', async () => {
  const { status, xml, cases } = await verify('-n', backup)
  expect(status).toBe(0)
  expect(Object.fromEntries(cases)).toMatchObject({
    verdict: 'passed',
    missing: 'passed',
    'checksum-mismatch': 'passed',
    'wal-missing': 'skipped',
    'wal-invalid': 'skipped',
    'page-checksum': 'skipped',
    'not checked: wal': 'skipped',
  })
  // Nobody asked for a signature.
  expect(cases.has('signature-missing')).toBe(false)
  expect([...cases.values()]).not.toContain('failure')
  expect(xml).toMatch(
    /<testsuites name="pbmanifest verify" time="\d+\.\d{3}" tests="\d+" failures="0" errors="0">/,
  )
})

test('problems fail the case of their kind, each on a line, and nothing of them is markup', async () => {
  const names = [
    'a"b<script>&\'',
    'line\nbreak',
    'control\u0001\u001b[31m',
    'turned\u202e',
    'last\uffff\ufffe',
  ]
  for (const name of names) writeFileSync(join(backup, name), '')
  writeFileSync(Buffer.from(`${backup}/not-utf8-\xff`, 'latin1'), '')
  await rm(join(backup, 'PG_VERSION'))
  const { status, xml, cases } = await verify('-n', backup)
  expect(status).toBe(1)
  expect(cases.get('verdict')).toBe('failure')
  expect(cases.get('missing')).toBe('failure')
  expect(cases.get('extra')).toBe('failure')
  expect(cases.get('size-mismatch')).toBe('passed')
  const lines = /<testcase name="extra"[^>]*>\s*<failure message="6 problems" type="extra">([^<]*)</.exec(
    xml,
  )?.[1]
  const shown = [
    "a&quot;b&lt;script&gt;&amp;'",
    String.raw`control\x01\x1b[31m`,
    String.raw`last\xef\xbf\xbf\xef\xbf\xbe`,
    String.raw`line\x0abreak`,
    String.raw`not-utf8-\xff`,
    String.raw`turned\xe2\x80\xae`,
  ]
  expect(lines?.split('\n').toSorted()).toEqual(
    shown.map((name) => `&quot;${name}&quot; is present on disk but not in the manifest`),
  )
})

test('of very many problems of a kind, the first are named and all are counted', async () => {
  for (let number = 0; number < 1100; number++) writeFileSync(join(backup, `base/${number}x`), '')
  const { xml } = await verify('-n', backup)
  expect(xml).toContain('<failure message="1100 problems" type="extra">')
  expect(xml.match(/is present on disk/g)).toHaveLength(1000)
  expect(xml).toContain('\nand 100 more</failure>')
})

test('several backups are suites, also one that could not be verified and one of which a part was seen', async () => {
  const odd = join(scratch.path, 'odd <"name">\u0007')
  await cp(backup, odd, { recursive: true })
  const nothing = join(scratch.path, 'nothing')
  await mkdir(nothing)
  const { status, xml } = await verify('-n', '-i', 'base', '-i', 'PG_VERSION', odd, nothing)
  expect(status).toBe(5)
  const suites = [...xml.matchAll(/<testsuite name="([^"]*)" tests="\d+" failures="(\d+)" errors="(\d+)"/g)]
  expect(suites.map(([, ...parts]) => parts)).toEqual([
    [`${scratch.path}/odd &lt;&quot;name&quot;&gt;\\x07`, '1', '0'],
    [nothing, '0', '1'],
  ])
  expect(xml).toContain('<failure message="only a part of the backup was verified" type="partial">')
  expect(xml).toMatch(/<error message="could not open file [^"]*" type="IO">/)
})

test('a sampled verdict is named so, and what was not read is no case that passed', async () => {
  const many = join(scratch.path, 'many')
  const names = Array.from({ length: 8 }, (_, number) => `base/1/${number + 16_385}`)
  await writeBackupOfFiles(many, Object.fromEntries(names.map((name) => [name, name.repeat(1000)])))
  const state = join(scratch.path, 'state')
  const { status, xml, cases } = await verify('-n', '--state', state, '--subset=25%', many)
  expect(status).toBe(0)
  expect(xml).toContain('<property name="verdict" value="sampled"/>')
  expect(cases.get('verdict')).toBe('passed')
  expect(cases.get('not read this time')).toBe('skipped')
})

test('after the first problem, what was not looked for any more is skipped', async () => {
  await writeFile(join(backup, 'base/1/x'), '')
  await rename(join(backup, 'base/1/16384'), join(scratch.path, 'away'))
  const { status, cases } = await verify('-n', '-e', backup)
  expect(status).toBe(1)
  const results = new Set(['missing', 'extra'].map((kind) => cases.get(kind)))
  expect(results).toEqual(new Set(['failure', 'skipped']))
  expect(cases.get('checksum-mismatch')).toBe('skipped')
})
