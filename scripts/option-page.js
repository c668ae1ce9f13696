import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { formatOptionPage } from '../dist/cli/stand-ins/option-page.js'
import { peers } from '../dist/cli/stand-ins/peers.js'

// Puts the tables of options, made of those of the program, into their page.

const page = 'docs/replicas.md'

let text = readFileSync(page, 'utf8')
for (const peer of Object.values(peers)) {
  const marked = new RegExp(`(<!-- options of ${peer.name} -->\n)[^]*?(\n<!-- end -->)`)
  if (!marked.test(text)) throw new Error(`${page} has no place for the options of ${peer.name}`)
  text = text.replace(marked, (_, begin, end) => `${begin}\n${formatOptionPage(peer)}\n${end}`)
}
writeFileSync(page, text)
execFileSync('npx', ['prettier', '--write', page])
