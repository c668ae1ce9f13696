import { spawn } from 'node:child_process'
import { pbkdf2Sync } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { stoppable, untilConnectionEnds } from '../../../src/transfer/connection/scram-key.js'
import { poll } from '../../helpers/poll.js'
import { mustRun, plainEnvironment } from '../../helpers/run-program.js'
import { createScratchDirectory } from '../../helpers/scratch-directory.js'

const program = new URL('../../../dist/program/main.js', import.meta.url).pathname
const scramKeyModule = new URL('../../../dist/src/transfer/connection/scram-key.js', import.meta.url).href
const MILLION = 1_000_000
const salt = Buffer.from('0123456789abcdef')

/** In the place of `pg`'s: what it is called with. */
function derive(password: string, _: Buffer, iterations: number): Promise<Buffer> {
  return Promise.resolve(Buffer.from(`${password} ${iterations}`))
}

test('up to a million iterations are left to `pg`; more give the same key, step by step', async () => {
  expect(await stoppable(derive)('pass', salt, MILLION)).toEqual(Buffer.from(`pass ${MILLION}`))
  const key = await stoppable(derive)('pässword', salt, MILLION + 1)
  expect(key).toEqual(pbkdf2Sync('pässword', salt, MILLION + 1, 32, 'sha256'))
})

test('a derivation ends with its connection', async () => {
  const connection = new AbortController()
  const key = new Promise((resolve, reject) => {
    untilConnectionEnds(connection.signal, () => {
      stoppable(derive)('password', salt, 2 ** 31 - 1).then(resolve, reject)
    })
  })
  setImmediate(() => connection.abort())
  await expect(key).rejects.toMatchObject({ code: 'ABORTED' })
})

/** Whether Node gives each promise a number, as it does, before 24, while a storage is in use; vitest always has one in use. */
const followingPromises = `
  import { executionAsyncId } from 'node:async_hooks'
  import { endDerivation, untilConnectionEnds } from '${scramKeyModule}'
  const number = () => Promise.resolve().then(() => executionAsyncId())
  const isFollowing = async () => (await number()) !== (await number())
  const [one, other] = [new AbortController().signal, new AbortController().signal]
  const seen = [await isFollowing()]
  untilConnectionEnds(one, () => {})
  untilConnectionEnds(other, () => {})
  endDerivation(one)
  seen.push(await isFollowing())
  endDerivation(other)
  seen.push(await isFollowing())
  console.log(...seen)`

test('when all connections have been let in, the promises of the thread are not followed any more', async () => {
  const args = ['--input-type=module', '-e', followingPromises]
  const { stdout } = await mustRun(process.execPath, args)
  const isFollowed = Number.parseInt(process.versions.node, 10) < 24
  expect(stdout).toBe(`false ${isFollowed} false\n`)
})

/** A server that asks every client for 2^31 - 1 iterations. */
async function startGreedyServer(onAsked: () => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(authentication(10, 'SCRAM-SHA-256\0\0'))
      socket.once('data', (bytes: Buffer) => {
        const [, nonce = ''] = /r=([^,]+)$/.exec(bytes.toString('latin1')) ?? []
        const first = `r=${nonce}more,s=${salt.toString('base64')},i=${2 ** 31 - 1}`
        socket.write(authentication(11, first), onAsked)
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as { port: number }).port
}

function authentication(code: number, more: string): Buffer {
  const message = Buffer.alloc(9)
  message.write('R')
  message.writeInt32BE(8 + more.length, 1)
  message.writeInt32BE(code, 5)
  return Buffer.concat([message, Buffer.from(more)])
}

/** In ticks of the clock, of all its threads. */
function processorTime(pid: number): number {
  const [, fields = ''] = /\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
  const [user, system] = fields.split(' ').slice(11)
  return Number(user) + Number(system)
}

test('SIGINT ends a backup whose server asks for 2^31 - 1 iterations', async () => {
  const scratch = createScratchDirectory()
  onTestFinished(() => scratch.remove())
  let hasAsked = false
  const port = await startGreedyServer(() => {
    hasAsked = true
  })
  const conninfo = `host=127.0.0.1 port=${port} user=x dbname=x sslmode=disable`
  const child = spawn(
    process.execPath,
    [program, 'backup', '-D', join(scratch.path, 'backup'), '-d', conninfo],
    {
      env: { ...plainEnvironment(), PGPASSWORD: 'secret' },
      stdio: 'ignore',
    },
  )
  const { pid } = child
  if (pid === undefined) throw new Error('the program did not start')
  onTestFinished(() => void child.kill('SIGKILL'))
  const closed = once(child, 'close')
  await poll('the question', () => Promise.resolve(hasAsked))
  const before = processorTime(pid)
  await poll('the derivation to take a second', () => Promise.resolve(processorTime(pid) > before + 100))
  child.kill('SIGINT')
  expect(await closed).toEqual([130, null])
})
