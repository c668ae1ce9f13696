import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeManPages } from '../dist/cli/manual/man-pages.js'

// Writes the pages of the manual, man/*.1, of what tsc wrote. They go into the package, whose package.json names each of them:
// npm links them where man looks when it installs globally.

const { SOURCE_DATE_EPOCH } = process.env
const time = SOURCE_DATE_EPOCH === undefined ? new Date() : new Date(Number(SOURCE_DATE_EPOCH) * 1000)
const pages = makeManPages(time.toISOString().slice(0, 10))
const { man } = JSON.parse(readFileSync('package.json', 'utf8'))
for (const name of pages.keys()) {
  if (!man.includes(`./man/${name}`)) throw new Error(`package.json has no "./man/${name}" under "man"`)
}
rmSync('man', { recursive: true, force: true })
mkdirSync('man')
for (const [name, page] of pages) writeFileSync(join('man', name), page)
