import { readFileSync, writeFileSync } from 'node:fs'

// Writes npm-shrinkwrap.json, which npm puts into the package: whoever installs the program gets the versions that were
// tested here. It is package-lock.json without what only development needs, made when the package is, and gone after that:
// npm would read it in place of package-lock.json.

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
const [, { devDependencies: _, ...root }] = Object.entries(lock.packages).find(([path]) => path === '')
const needed = Object.entries(lock.packages).filter(
  ([path, { dev, devOptional }]) => path !== '' && dev !== true && devOptional !== true,
)
const packages = { '': root, ...Object.fromEntries(needed) }
writeFileSync('npm-shrinkwrap.json', `${JSON.stringify({ ...lock, packages }, null, 2)}\n`)
