import './servers-only.js'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

/** The program, of Debian's package of the same name. */
export const browserProgram = 'chromium-headless-shell'

/** Starts a browser. Whoever does closes it. */
export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({
    executablePath: `/usr/bin/${browserProgram}`,
    // As root it refuses to do without. It is shown nothing but our own files.
    args: ['--no-sandbox'],
  })
}

/** A page that is open, and what has happened since it was. */
export interface OpenPage {
  readonly page: Page
  /** Addresses that it has asked for besides its own. */
  readonly requests: readonly string[]
  /** What its console and its scripts complained of. */
  readonly complaints: readonly string[]
}

/** Opens a file. */
export async function openFile(
  browser: Browser,
  path: string,
  options: BrowserContextOptions = {},
): Promise<OpenPage> {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const requests: string[] = []
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  const own = new URL(`file://${path}`).href
  page.on('request', (request) => {
    if (request.url() !== own) requests.push(request.url())
  })
  await page.goto(own)
  return { page, requests, complaints }
}

/** What a person with a disability would stumble over, by axe-core: its rules, and where. */
export async function findBarriers(page: Page): Promise<string[]> {
  // Not as a script of the page, whose policy forbids it.
  await page.evaluate(axe.source)
  return await page.evaluate(`axe.run().then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ': ' + html)))`)
}
