import { basename } from 'node:path'
import { build } from 'rolldown'

// Makes the command line, dist/program, of what tsc wrote, in few files: to find and load a module takes longer than to
// read a hundred small files of a backup. Packages stay outside.

/** What threads run: each has all that it needs in its file. They are started by the file beside the one that starts them. */
const threads = [
  'src/create/fragment-worker',
  'src/manifest/checksum/sha256-worker',
  'src/transfer/agent/thread/session-worker',
  'src/transfer/client/backup-worker',
  'src/verify/plain/checksum-worker',
  'src/verify/tar/archive-worker',
  'src/verify/wal/wal-worker',
]

/** Modules that one task needs, one after the other: they and what they import become one file. The first that has one keeps it. */
const groups = [
  // Of main itself. Nothing may import main, which waits for what it loads.
  {
    name: 'base',
    test: /dist\/(cli\/(describe-bug|exit-status)|src\/(version|files\/(display-text|system-error)))\.js$/,
  },
  {
    name: 'verify',
    test: /dist\/(cli\/(run|signals)|src\/verify\/(verify-backup|run-verification|wal\/check-wal))\.js$/,
  },
  {
    name: 'backup',
    test: /dist\/(cli\/commands\/backup\/prepare-connections|src\/transfer\/client\/(take|run)-backup)\.js$/,
  },
]

const shared = { platform: 'node', external: /^[^./]/ }
const output = { dir: 'dist/program', chunkFileNames: '[name]-[hash].js', comments: { jsdoc: false } }

for (const file of threads) {
  await build({ ...shared, input: { [basename(file)]: `dist/${file}.js` }, output })
}

const { output: chunks } = await build({
  ...shared,
  input: { main: 'dist/cli/main.js' },
  // An import() of a module that is in a file with others only says when it is needed.
  checks: { ineffectiveDynamicImport: false },
  output: { ...output, codeSplitting: { includeDependenciesRecursively: true, groups } },
})
for (const { fileName, name, imports = [] } of chunks) {
  if (imports.includes('main.js')) throw new Error(`${fileName} imports main.js, which waits for it`)
  const more = name === 'main' ? imports.filter((path) => !/^(node:|base-)/.test(path)) : []
  if (more.length > 0) throw new Error(`main.js needs more than the group "base" has: ${more.join(', ')}`)
}
