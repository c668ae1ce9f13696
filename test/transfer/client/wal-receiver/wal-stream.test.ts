import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { array, assert, asyncProperty, integer, oneof } from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WalReceiver } from '../../../../src/transfer/client/wal-receiver/wal-receiver.js'
import { poll } from '../../../helpers/poll.js'
import { mountSmallDisk } from '../../../helpers/small-disk.js'
import { WalDirectory } from '../../../../src/target/directory-target.js'
import { createScratchDirectory, type ScratchDirectory } from '../../../helpers/scratch-directory.js'
import { resolve } from '../../connection/settings/resolve.js'
import {
  copyBoth,
  copyDone,
  message,
  ready,
  replyRequest,
  row,
  type Script,
  ScriptedServer,
  wal,
} from './scripted-server.js'

const walSegmentSize = 1024 * 1024
const startLsn = 5n * BigInt(walSegmentSize)

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

interface Session {
  readonly server: ScriptedServer
  readonly receiver: WalReceiver
  readonly received: Promise<void>
}

async function withServer<Result>(
  directory: string,
  script: Script,
  use: (session: Session) => Promise<Result>,
): Promise<Result> {
  const server = await ScriptedServer.listen(scratch.path, script)
  const receiver = await WalReceiver.open({
    connection: resolve({ host: scratch.path }).options,
    files: new WalDirectory({ directory, fileMode: 0o600, sync: false }),
    walSegmentSize,
    proof: {
      systemIdentifier: 1n,
      majorVersion: 15,
      findWalSender: () => Promise.resolve({ found: true, server: 'the scripted one' }),
    },
    // The scripted server takes any command: that a slot is used shows in what is told of flushed WAL.
    slot: { kind: 'none' },
  })
  try {
    return await use({ server, receiver, received: receiver.start(startLsn + 77n, 1) })
  } finally {
    await receiver.close()
    server.close()
  }
}

const segmentNames = ['000000010000000000000005', '000000010000000000000006'] as const

test('however the stream is cut, the files are the same', async () => {
  let run = 0
  await assert(
    asyncProperty(
      array(integer({ min: 1, max: 131_072 }), { minLength: 12, maxLength: 30 }),
      array(oneof(integer({ min: 1, max: 30 }), integer({ min: 1000, max: 200_000 })), {
        minLength: 1,
        maxLength: 5,
      }),
      async (lengths, pieces) => {
        // Large pieces, too, or it would take for ever.
        const bytes = randomBytes(lengths.reduce((sum, length) => sum + length, 0) + 400_000)
        const directory = join(scratch.path, `pg_wal_${run++}`)
        const stream = Buffer.concat([copyBoth, ...messages(bytes, [...lengths, 400_000])])
        await withServer(
          directory,
          { stream, pieces: [...pieces, 100_000] },
          async ({ receiver, received }) => {
            await receiver.stop(startLsn + BigInt(bytes.length))
            await received
          },
        )
        const files = (await readdir(directory)).filter((name) => name !== 'archive_status').toSorted()
        const contents = Buffer.concat(
          await Promise.all(files.map((name) => readFile(join(directory, name)))),
        )
        expect(contents.length % walSegmentSize).toBe(0)
        expect(contents.subarray(0, bytes.length).equals(bytes)).toBe(true)
        expect(contents.subarray(bytes.length).every((byte) => byte === 0)).toBe(true)
        const done = (await readdir(join(directory, 'archive_status'))).toSorted()
        const finished = Math.floor(bytes.length / walSegmentSize)
        expect(done).toEqual(files.slice(0, finished).map((name) => `${name}.done`))
      },
    ),
    { numRuns: 15 },
  )
})

/** Cuts bytes into messages of these lengths. */
function messages(bytes: Buffer, lengths: readonly number[]): readonly Buffer[] {
  let at = 0
  return lengths.map((length) => {
    const part = wal(startLsn + BigInt(at), bytes.subarray(at, at + length))
    at += length
    return part
  })
}

const tag = message('C', 'X\0')
const half = randomBytes(walSegmentSize / 2)

test.each<{ what: string; script: Script; expected: string }>([
  {
    what: 'leaves a gap',
    script: { stream: Buffer.concat([copyBoth, wal(startLsn, half), wal(startLsn, half)]) },
    expected: 'got WAL data at 0/500000, expected 0/580000',
  },
  {
    what: 'begins elsewhere',
    script: { stream: Buffer.concat([copyBoth, wal(startLsn + 77n, half)]) },
    expected: 'got WAL data at 0/50004D, expected 0/500000',
  },
  {
    what: 'speaks another language',
    script: { stream: Buffer.concat([copyBoth, message('d', 'xyz')]) },
    expected: 'unrecognized streaming header: "x"',
  },
  {
    what: 'says nothing',
    script: { stream: Buffer.concat([copyBoth, message('d')]) },
    expected: 'unrecognized streaming header: ""',
  },
  {
    what: 'cuts a header short',
    script: { stream: Buffer.concat([copyBoth, message('d', 'w1234')]) },
    expected: 'streaming header too small: 5',
  },
  {
    what: 'cuts a keepalive short',
    script: { stream: Buffer.concat([copyBoth, message('d', 'k1234')]) },
    expected: 'streaming header too small: 5',
  },
  {
    what: 'ends the copy for no reason',
    script: { stream: Buffer.concat([copyBoth, copyDone]) },
    expected: 'replication stream was terminated before stop point',
  },
  {
    what: 'does not go on',
    script: { stream: Buffer.concat([tag, ready]) },
    expected: 'replication stream was terminated before stop point',
  },
  {
    what: 'goes back to the same timeline',
    script: { stream: Buffer.concat([row('1', '0/500000'), ready]) },
    expected: 'server reported unexpected next timeline 1, following timeline 1',
  },
  {
    what: 'names no place where the next timeline begins',
    script: { stream: Buffer.concat([row('2', 'nowhere'), ready]) },
    expected: 'replication stream was terminated before stop point',
  },
  {
    what: 'reports an error in the middle',
    script: { stream: Buffer.concat([copyBoth, message('E', 'SERROR\0CXX000\0Mno\nmore\0\0')]) },
    expected: 'could not receive data from WAL stream: ERROR:  no more',
  },
  {
    what: 'wants to be sent data',
    script: { stream: message('G', Buffer.of(0, 0, 0)) },
    expected: 'could not send replication command "START_REPLICATION": the server wants data',
  },
  {
    what: 'announces gigabytes',
    script: { stream: Buffer.concat([copyBoth, Buffer.from('647fffffff', 'hex')]) },
    expected: 'lost synchronization with server: more came than an answer can have',
  },
  {
    what: 'sends noise',
    script: { stream: Buffer.concat([copyBoth, Buffer.alloc(100, 255)]) },
    expected: 'lost synchronization with server: invalid message',
  },
  {
    what: 'hangs up',
    script: { stream: Buffer.concat([copyBoth, wal(startLsn, half)]), hangsUp: true },
    expected: 'could not receive data from WAL stream: server closed the connection unexpectedly',
  },
])('a server that $what', async ({ script, expected }) => {
  const directory = join(scratch.path, 'pg_wal')
  await withServer(directory, script, async ({ received }) => {
    await expect(received).rejects.toMatchObject({ code: 'SERVER', message: expected })
  })
})

test('a server that asks is told what was written', async () => {
  const stream = Buffer.concat([copyBoth, wal(startLsn, half), replyRequest])
  await withServer(join(scratch.path, 'pg_wal'), { stream }, async ({ server, receiver }) => {
    await poll('the WAL', async () => receiver.writtenLsn === startLsn + BigInt(half.length))
    const status = await poll('the reply', async () => server.received[0])
    expect(status.length).toBe(34)
    expect(status.toString('latin1', 0, 1)).toBe('r')
    // Without a slot nobody has to know what is flushed.
    expect(status.readBigUInt64BE(9)).toBe(0n)
    const microseconds = status.readBigInt64BE(25)
    expect(new Date(Number(microseconds / 1000n) + Date.UTC(2000, 0, 1)).getFullYear()).toBe(
      new Date().getFullYear(),
    )
    await receiver.stop(startLsn + 1n)
    expect(server.received.at(-1)?.readBigUInt64BE(1)).toBe(startLsn + BigInt(half.length))
  })
})

test('a stop between two timelines needs no second stream', async () => {
  const stream = Buffer.concat([copyBoth, wal(startLsn, half), copyDone])
  const goodbye = Buffer.concat([row('2', '0/580000'), ready])
  const content = '1\t0/580000\tno recovery target specified\n'
  let tellHistory!: (answer: Buffer) => void
  const history = new Promise<Buffer>((resolve) => {
    tellHistory = resolve
  })
  const directory = join(scratch.path, 'pg_wal')
  await withServer(directory, { stream, goodbye, history }, async ({ server, receiver, received }) => {
    await poll('the end of the timeline', async () =>
      server.commands.some((command) => command.startsWith('TIMELINE_HISTORY 2')),
    )
    const stopped = receiver.stop(startLsn)
    tellHistory(Buffer.concat([row('00000002.history', content), ready]))
    await stopped
    await received
    expect(await readFile(join(directory, '00000002.history'), 'utf8')).toBe(content)
    expect((await readdir(directory)).toSorted()).toEqual([
      segmentNames[0],
      '00000002.history',
      'archive_status',
    ])
  })
})

test.each([
  ['2/../../../outside/authorized_keys', 'ssh-ed25519 AAAA', 'unexpected history file name for timeline 2'],
  ['2', '1\t0/580000\tx\n', 'unexpected history file name for timeline 2: "2"'],
  ['00000003.history', '1\t0/580000\tx\n', 'unexpected history file name for timeline 2'],
  ['00000002.history', 'ssh-ed25519 AAAA', 'syntax error in history file'],
  ['00000002.history', '2\t0/580000\tx\n', "must be less than child timeline's ID"],
])(
  'of a server that names a history file %j with %j, nothing is written',
  async (name, content, expected) => {
    const stream = Buffer.concat([copyBoth, wal(startLsn, half), copyDone])
    const goodbye = Buffer.concat([row('2', '0/580000'), ready])
    const history = Buffer.concat([row(name, content), ready])
    const directory = join(scratch.path, 'a/b/pg_wal')
    await mkdir(join(scratch.path, 'outside'))
    await withServer(directory, { stream, goodbye, history }, async ({ received }) => {
      await expect(received).rejects.toThrow(expected)
    })
    expect(await readdir(join(scratch.path, 'outside'))).toEqual([])
    expect((await readdir(directory)).toSorted()).toEqual([segmentNames[0], 'archive_status'])
  },
)

test('a server that never says goodbye is left behind', async () => {
  const stream = Buffer.concat([copyBoth, wal(startLsn, half)])
  const directory = join(scratch.path, 'pg_wal')
  await withServer(directory, { stream, goodbye: Buffer.alloc(0) }, async ({ receiver, received }) => {
    await receiver.stop(startLsn + BigInt(half.length))
    await received
    expect((await readFile(join(directory, segmentNames[0]))).subarray(0, half.length).equals(half)).toBe(
      true,
    )
  })
})

test.runIf(process.getuid?.() === 0)('a disk that is full', async () => {
  const disk = join(scratch.path, 'disk')
  const unmount = mountSmallDisk(disk, `size=${walSegmentSize + 65_536}`)
  expect(unmount).toBeDefined()
  try {
    const stream = Buffer.concat([
      copyBoth,
      ...messages(randomBytes(3 * half.length), [half.length, half.length, half.length]),
    ])
    await withServer(join(disk, 'pg_wal'), { stream }, async ({ received }) => {
      await expect(received).rejects.toMatchObject({
        code: 'IO',
        message: expect.stringMatching(
          /^could not write \d+ bytes to WAL file ".*\/000000010000000000000006": No space left on device$/,
        ),
      })
    })
  } finally {
    unmount?.()
  }
})
