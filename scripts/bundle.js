import { basename } from 'node:path'
import { build } from 'rolldown'

// Makes the command line, dist/program, in few files, of what tsc wrote: loading a module of its own for each source
// file takes longer than verifying a small backup. Packages stay outside.

/** Threads are started by the file beside the one that starts them: in a bundle all are in one directory. */
const threads = [
  'src/manifest/checksum/sha256-worker',
  'src/transfer/agent/thread/session-worker',
  'src/transfer/client/backup-worker',
  'src/verify/plain/checksum-worker',
  'src/verify/tar/archive-worker',
  'src/verify/wal/wal-worker',
]

await build({
  input: {
    main: 'dist/cli/main.js',
    ...Object.fromEntries(threads.map((file) => [basename(file), `./dist/${file}.js`])),
  },
  platform: 'node',
  external: /^[^./]/,
  output: { dir: 'dist/program', chunkFileNames: '[name]-[hash].js' },
})
