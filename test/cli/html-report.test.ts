import { readFileSync, statSync } from 'node:fs'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { browserProgram, findBarriers, openFile, startBrowser } from '../helpers/browser.js'
import { describeWithProgram } from '../helpers/describe-with-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { shell } from './pbmanifest.js'
import { runCommandLine } from './run-command-line.js'
import { emptyFile, formatManifest, versionFile, writeSmallBackup } from './small-backup.js'

let scratch: ScratchDirectory
let backup: string
let file: string

beforeEach(async () => {
  scratch = createScratchDirectory()
  backup = await writeSmallBackup(scratch.path)
  file = join(scratch.path, 'report.html')
})

afterEach(() => scratch.remove())

/** Runs `verify`, and reads the page that it has written. */
async function verify(...args: string[]): Promise<string> {
  // A line, whatever there is to say.
  await runCommandLine(['verify', '-n', '--output=nagios', '--report', `html=${file}`, ...args])
  return readFileSync(file, 'utf8')
}

/** Names that would be more than names if they were not escaped; the file system takes no slash. */
const hostileNames = [
  '<script>globalThis.broken = 1<',
  '"><img src=x onerror="globalThis.broken = 2">',
  "'-globalThis.broken-'",
  '<!--<script>',
  '&lt;b&gt;',
  '${globalThis.broken = 3}',
  'turned\u202egnp.exe',
  'line\nbreak',
]

/** Adds files with these names, and one with a relation of which pages are damaged. */
async function damage(): Promise<void> {
  for (const name of hostileNames) await writeFile(join(backup, name), '')
  const size = 40 * 8192
  const relation = { path: 'base/1/16385', size, checksum: '00000000' }
  const fsm = { path: 'base/1/16385_fsm', size: 3 * 8192, checksum: '00000000' }
  await writeFile(join(backup, 'backup_manifest'), formatManifest([versionFile, emptyFile, relation, fsm]))
  const pages = Buffer.alloc(size)
  for (const block of [3, 20, 21]) pages.fill('x', block * 8192, (block + 1) * 8192)
  await writeFile(join(backup, relation.path), pages)
}

const manyProblems = 100_000

describe('a page', () => {
  test('is written whole, and says so where the manifest cannot be read again', async () => {
    expect(await verify(backup)).toMatch(/^<!doctype html>[^]*<\/html>\n$/)
    const line = `pbmanifest verify -nq --report "html=$1" -m <(cat "$2/backup_manifest") "$2"`
    expect(await shell(line, file, backup)).toMatchObject({ status: 0, stderr: '' })
    expect(readFileSync(file, 'utf8')).toContain('Not drawn: the manifest was not read from a file')
  })

  test('has no markup but its own', async () => {
    await damage()
    const page = await verify(backup)
    expect(page.match(/<script\b/g)).toHaveLength(2)
    expect(page.match(/<\/script/g)).toHaveLength(2)
    expect(page).not.toMatch(/<img|<!--|\u202e| on[a-z]+="|style="/)
  })
})

describeWithProgram(browserProgram, browserProgram, 'a page in a browser', () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await startBrowser()
  })

  afterAll(() => browser.close())

  test('shows the verdict of a good backup, asks for nothing, and complains of nothing', async () => {
    await verify(backup)
    const { page, requests, complaints } = await openFile(browser, file)
    expect(await page.title()).toBe(`verified: ${backup}`)
    expect(await page.locator('.verdict strong').textContent()).toBe('✓ backup successfully verified')
    expect(await page.locator('h3').allTextContents()).toEqual([
      'Not checked',
      'What was verified, and how',
      'Where the bytes are',
      'Time by step',
    ])
    expect(await page.locator('main dt').allTextContents()).toEqual(expect.arrayContaining(['wal', 'Path']))
    expect(await page.locator('figure svg rect').count()).toBeGreaterThan(0)
    expect({ requests, complaints }).toEqual({ requests: [], complaints: [] })
  })

  test.each(['light', 'dark'] as const)('has no barrier that axe knows, in %s', async (colorScheme) => {
    await damage()
    const nothing = join(scratch.path, 'nothing')
    await mkdir(nothing)
    await verify('--page-checksums', backup, nothing)
    const { page } = await openFile(browser, file, { colorScheme })
    expect(await page.locator('.verdict').count()).toBe(2)
    expect(await findBarriers(page)).toEqual([])
  })

  test('shows names as names', async () => {
    await damage()
    await verify('--page-checksums', backup)
    const { page, complaints } = await openFile(browser, file)
    const texts = (await page.locator('#b1-rows tr td:nth-child(2)').allTextContents()).join('\n')
    for (const name of hostileNames.slice(0, 6)) expect(texts).toContain(`"${name}" is present on disk`)
    expect(texts).toContain(String.raw`"turned\xe2\x80\xaegnp.exe"`)
    expect(texts).toContain(String.raw`"line\x0abreak"`)
    expect(await page.evaluate('globalThis.broken')).toBeUndefined()
    expect(await page.locator('img').count()).toBe(0)
    expect(complaints).toEqual([])
  })

  test('runs no script but its own', async () => {
    await verify(backup)
    const { page, complaints } = await openFile(browser, file)
    await page.evaluate(`const script = document.createElement('script')
      script.textContent = 'globalThis.broken = true'
      document.body.append(script)`)
    expect(await page.evaluate('globalThis.broken')).toBeUndefined()
    expect(complaints.join('\n')).toContain('Content Security Policy')
  })

  test('shows where damaged blocks are', async () => {
    await damage()
    await verify('--page-checksums', backup)
    const { page } = await openFile(browser, file)
    const row = page.locator('[aria-label="Files with damaged blocks"] tbody tr')
    expect(await row.locator('td').nth(0).textContent()).toBe('base/1/16385')
    expect(await row.locator('td').nth(1).textContent()).toBe('3 of 40')
    const places = await row
      .locator('rect.damage')
      .evaluateAll((marks) => marks.map((mark) => Number(mark.getAttribute('x'))))
    expect(places).toEqual([3, 20, 21].map((block) => block * 12))
    expect(await page.locator('figure g title').allTextContents()).toContain(
      'pg_default, 1/16385, free space map: 24.0 kB',
    )
  })

  test('finds problems by words and by kind', async () => {
    await damage()
    await verify(backup)
    const { page } = await openFile(browser, file)
    const rows = page.locator('#b1-rows tr')
    const count = page.locator('#b1-count')
    const total = await rows.count()
    expect(await count.textContent()).toBe(`${total} of ${total} problems`)
    await page.getByLabel('Words').fill('DISK line')
    await page.locator('#b1-count', { hasText: /^1 of/ }).waitFor()
    expect(await rows.count()).toBe(1)
    await page.getByLabel('Words').fill('')
    await page.getByLabel('Kind').selectOption('extra')
    await page.locator('#b1-count', { hasText: /^8 of/ }).waitFor()
    expect(await rows.locator('.kind').allTextContents()).toEqual(hostileNames.map(() => 'extra'))
  })

  test('has all but the filter without a script, and on paper', async () => {
    await damage()
    await verify(backup)
    const silent = await openFile(browser, file, { javaScriptEnabled: false })
    expect(await silent.page.locator('#b1-rows tr').count()).toBeGreaterThan(hostileNames.length)
    expect(await silent.page.locator('form.filter').isVisible()).toBe(false)
    const { page } = await openFile(browser, file)
    expect(await page.locator('form.filter').isVisible()).toBe(true)
    await page.emulateMedia({ media: 'print' })
    expect(await page.locator('form.filter').isVisible()).toBe(false)
    expect(await page.locator('.verdict').isVisible()).toBe(true)
  })

  test(`stays small with ${manyProblems} problems, and says what is not in it`, async () => {
    const gone = Array.from({ length: manyProblems }, (_, number) => ({
      path: `base/1/${number + 20_000}`,
      size: 8192,
      checksum: '00000000',
    }))
    await writeFile(join(backup, 'backup_manifest'), formatManifest([versionFile, emptyFile, ...gone]))
    await verify(backup)
    expect(statSync(file).size).toBeLessThan(4 * 1024 * 1024)
    const { page } = await openFile(browser, file)
    expect(await page.locator('#b1-count').textContent()).toBe(
      `20000 of ${manyProblems} problems, the first 200 shown; 80000 more are not in this page`,
    )
    expect(await page.locator('#b1-rows tr').count()).toBe(200)
    expect(await page.locator('*').count()).toBeLessThan(5000)
    await page.getByLabel('Words').fill('base/1/39999')
    await page.locator('#b1-count', { hasText: /^1 of/ }).waitFor()
  })

  test('has the history that is kept with --state, this verification in it', async () => {
    const state = join(scratch.path, 'state')
    const copy = join(scratch.path, 'copy <b>')
    await cp(backup, copy, { recursive: true })
    await verify('--state', state, backup)
    await writeFile(join(copy, 'PG_VERSION'), '16\n')
    await verify('--state', state, copy)
    const { page } = await openFile(browser, file)
    const history = page.locator('[aria-labelledby="history"]')
    const verdicts = await history.locator('tbody tr td:nth-child(5)').allTextContents()
    expect(verdicts.toSorted()).toEqual(['failed', 'verified'])
    expect(await history.locator('tbody tr td:nth-child(2)').allTextContents()).toContain(copy)
    expect(await history.locator('figure > svg rect').count()).toBe(2)
    expect(await findBarriers(page)).toEqual([])
  })

  test('has an overview of several backups, with links to each', async () => {
    const copy = join(scratch.path, 'copy')
    await cp(backup, copy, { recursive: true })
    await writeFile(join(copy, 'PG_VERSION'), '16\n')
    await verify(backup, copy, join(scratch.path, 'nothing'))
    const { page } = await openFile(browser, file)
    expect(await page.locator('#all').textContent()).toBe('3 backups: 1 failed, 1 error, 1 verified')
    expect(await page.locator('.badge').allTextContents()).toEqual(['✓ verified', '✗ failed', '✗ error'])
    await page.getByRole('link', { name: copy }).click()
    expect(new URL(page.url()).hash).toBe('#b2')
    expect(await page.locator('#b2').textContent()).toBe(copy)
  })
})
