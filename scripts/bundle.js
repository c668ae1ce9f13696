import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { build } from 'rolldown'

// Makes the command line, dist/program, of what tsc wrote, in few files: to find and load a module takes longer than to
// read a hundred small files of a backup. They are CommonJS, which Node loads in less time, and of which it gets only what
// it asks for: an import of node:fs loads its streams as well. Packages stay outside.

/** What threads run: each has all that it needs in its file. They are started by the file beside the one that starts them. */
const threads = [
  'src/combine/combine-worker',
  'src/create/fragment-worker',
  'src/manifest/checksum/sha256-worker',
  'src/source/tar/unpack-worker',
  'src/transfer/agent/thread/session-worker',
  'src/transfer/client/backup-worker',
  'src/verify/plain/checksum-worker',
  'src/verify/store/object-worker',
  'src/verify/tar/archive-worker',
  'src/verify/wal/wal-worker',
]

/** Modules that one task needs, one after the other: they and what they import become one file. The first that has one keeps it. */
const groups = [
  // Of main itself, which says its version without loading more.
  {
    name: 'base',
    test: /dist\/(cli\/(describe-bug|exit-status)|src\/(version|files\/(display-text|system-error)))\.js$/,
  },
  {
    name: 'verify',
    test: /dist\/(cli\/(run|signals)|src\/verify\/(verify-backup|run-verification|wal\/check-wal))\.js$/,
  },
  // Without what connects to servers.
  { name: 'target', test: /dist\/src\/target\/target-directory\.js$/ },
  {
    name: 'backup',
    test: /dist\/(cli\/commands\/backup\/prepare-connections|src\/transfer\/client\/(take|run)-backup)\.js$/,
  },
]

const shared = { platform: 'node', external: /^[^./]/ }
const output = {
  dir: 'dist/program',
  format: 'cjs',
  chunkFileNames: '[name]-[hash].js',
  comments: { jsdoc: false },
}

for (const file of threads) {
  await build({ ...shared, input: { [basename(file)]: `dist/${file}.js` }, output })
  // The library's too, in place.
  await build({
    ...shared,
    input: `dist/${file}.js`,
    output: { file: `dist/${file}.js`, format: 'esm', codeSplitting: false, comments: { jsdoc: false } },
  })
}

const { output: chunks } = await build({
  ...shared,
  input: { main: 'dist/cli/main.js' },
  // An import() of a module that is in a file with others only says when it is needed.
  checks: { ineffectiveDynamicImport: false },
  output: { ...output, codeSplitting: { includeDependenciesRecursively: true, groups } },
})

// Nothing that is not needed: main has what it needs in "base", and verify needs no package.
const allowed = {
  main: /^(node:|base-|rolldown-runtime-)/,
  base: /^node:/,
  verify: /^(node:|base-|rolldown-runtime-)/,
}
for (const { name, imports = [] } of chunks) {
  const more = imports.filter((path) => allowed[name]?.test(path) === false)
  if (more.length > 0) throw new Error(`"${name}" of the program imports ${more.join(', ')}`)
}

// The names of PostgreSQL's programs that ours stands in for: main goes by the name of the file that is run.
for (const name of ['basebackup', 'verifybackup']) {
  writeFileSync(`dist/program/${name}.js`, '#!/usr/bin/env node\nrequire("./main.js")\n', { mode: 0o755 })
}
writeFileSync('dist/program/package.json', `${JSON.stringify({ type: 'commonjs' })}\n`)
