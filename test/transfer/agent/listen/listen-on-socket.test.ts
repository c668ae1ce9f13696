import '../../../helpers/servers-only.js'
import { lstatSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { listenOnSocket } from '../../../../src/transfer/agent/listen/listen-on-socket.js'
import { mustRun } from '../../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../../helpers/scratch-directory.js'

describe('a Unix socket', () => {
  let scratch: ScratchDirectory
  const servers: Server[] = []

  beforeEach(() => {
    scratch = createScratchDirectory()
  })

  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
    scratch.remove()
  })

  async function listen(mode = 0o700): Promise<string> {
    servers.push(
      await listenOnSocket({ directory: scratch.path, port: 5433, mode }, (socket) => socket.end()),
    )
    return path()
  }

  function path(): string {
    return join(scratch.path, '.s.PGSQL.5433')
  }

  test.each([0o700, 0o770, 0o777, 0o600])('is made with mode %o, whatever the umask is', async (mode) => {
    const umask = process.umask(0o022)
    try {
      expect(lstatSync(await listen(mode)).mode & 0o777).toBe(mode)
      expect(process.umask()).toBe(0o022)
    } finally {
      process.umask(umask)
    }
  })

  test('is refused when somebody listens there, who goes on', async () => {
    await listen()
    await expect(listen()).rejects.toMatchObject({
      code: 'IO',
      message: `could not create Unix socket "${path()}": Address already in use`,
      hint: expect.stringContaining('Is another agent running'),
    })
    const socket = connect(path())
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    socket.destroy()
  })

  /** Of one that was killed, so that it could not remove it. */
  async function leaveSocket(): Promise<void> {
    const script = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
    await mustRun(process.execPath, ['-e', script, path()]).catch(() => {})
  }

  test('that is left is replaced by one of several that start in the same moment', async () => {
    await leaveSocket()
    const place = { directory: scratch.path, port: 5433, mode: 0o700 }
    const starts = [1, 2, 3].map((answer) => listenOnSocket(place, (socket) => socket.end(String(answer))))
    const results = await Promise.allSettled(starts)
    const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index + 1] : []))
    for (const result of results) if (result.status === 'fulfilled') servers.push(result.value)
    expect(winners).toHaveLength(1)
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'IO', message: `could not create Unix socket "${path()}": Address already in use` },
    })
    const answers = await connect(path()).setEncoding('utf8').toArray()
    expect(answers.join('')).toBe(String(winners[0]))
  })

  test('replaces what is left of one on which nobody listens', async () => {
    await leaveSocket()
    const stale = lstatSync(path())
    expect(stale.isSocket()).toBe(true)
    await listen()
    expect(lstatSync(path()).mode & 0o777).toBe(0o700)
  })

  test.each([
    ['a file', () => writeFileSync(path(), 'precious')],
    ['a link', () => symlinkSync('elsewhere', path())],
  ])('does not replace %s', async (_, make) => {
    make()
    await expect(listen()).rejects.toMatchObject({
      code: 'IO',
      message: `could not create Unix socket "${path()}": it exists and is no socket`,
    })
    expect(lstatSync(path()).isSocket()).toBe(false)
  })

  test('is refused in a directory that is not there, and at a path that is too long', async () => {
    const missing = join(scratch.path, 'missing')
    await expect(
      listenOnSocket({ directory: missing, port: 1, mode: 0o700 }, () => {}),
    ).rejects.toMatchObject({ code: 'IO', message: expect.stringMatching(/^could not create Unix socket "/) })
    await expect(
      listenOnSocket({ directory: `/${'x'.repeat(100)}`, port: 1, mode: 0o700 }, () => {}),
    ).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/too long \(maximum 107 bytes\)$/),
    })
  })
})
