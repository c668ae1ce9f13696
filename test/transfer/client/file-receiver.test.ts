import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ownPathname } from '../../../src/files/safe-pathname.js'
import { FileReceiver, type ReceivedFile } from '../../../src/transfer/client/file-receiver.js'
import { DirectorySink } from '../../../src/target/directory-sink.js'
import type { SentFileEvent } from '../../../src/transfer/commands/replication-command.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()

/** What was asked for is, by default, what is sent. */
function receive(
  events: readonly SentFileEvent[],
  { mode = 0o600, asked = namesIn(events) }: { mode?: number; asked?: readonly string[] } = {},
) {
  const files: ReceivedFile[] = []
  const vanished: string[] = []
  let bytes = 0
  const receiver = new FileReceiver({
    sink: new DirectorySink(scratch.path, { sync: false }),
    files: asked.map((pathname) => ({ pathname: ownPathname(pathname), size: 0, mode })),
    onBytes: (count) => {
      bytes += count
    },
    onFile: (file) => files.push(file),
    onVanished: (pathname) => vanished.push(pathname),
  })
  try {
    for (const event of events) void receiver.accept(event)
  } finally {
    receiver.close()
  }
  return { files, vanished, bytes }
}

function namesIn(events: readonly SentFileEvent[]): string[] {
  return events.flatMap((event) => ('pathname' in event ? [event.pathname] : []))
}

const begin = (pathname: string): SentFileEvent => ({ type: 'file', pathname })
const announce = (pathname: string, size: number): SentFileEvent => ({
  type: 'file',
  pathname,
  announced: { size, modified: 0 },
})
const bytes = (text: string): SentFileEvent => ({ type: 'bytes', bytes: Buffer.from(text) })
const end = (size: number): SentFileEvent => ({
  type: 'end',
  size,
  modified: 0,
  checksum: 'ab12cd34',
  throttledMs: 0,
})

describe('receiving files', () => {
  test('writes each whole, with its mode, and says what came', () => {
    mkdirSync(`${scratch.path}/base`)
    const received = receive([
      begin('base/1'),
      bytes('abc'),
      bytes('de'),
      end(5),
      { type: 'vanished', pathname: 'base/2' },
      begin('base/3'),
      end(0),
    ])
    expect(received).toEqual({
      files: [
        { pathname: 'base/1', size: 5, checksum: 'ab12cd34' },
        { pathname: 'base/3', size: 0, checksum: 'ab12cd34' },
      ],
      vanished: ['base/2'],
      bytes: 5,
    })
    expect(readFileSync(`${scratch.path}/base/1`, 'utf8')).toBe('abcde')
    expect(statSync(`${scratch.path}/base/3`).mode & 0o777).toBe(0o600)
    expect(existsSync(`${scratch.path}/base/2`)).toBe(false)
  })

  test('grants the group what it is to have, whatever our umask says', () => {
    const before = process.umask(0o077)
    try {
      receive([begin('shared'), end(0)], { mode: 0o640 })
    } finally {
      process.umask(before)
    }
    expect(statSync(`${scratch.path}/shared`).mode & 0o777).toBe(0o640)
  })

  test('writes a name that is not UTF-8 as the bytes that it is', () => {
    receive([begin('caf\udce9'), bytes('x'), end(1)])
    expect(existsSync(Buffer.concat([Buffer.from(`${scratch.path}/caf`), Buffer.of(0xe9)]))).toBe(true)
  })

  test('never overwrites a file', () => {
    writeFileSync(`${scratch.path}/mine`, 'mine')
    expect(() => receive([begin('mine')])).toThrow(
      expect.objectContaining({
        code: 'IO',
        message: `could not create file "${scratch.path}/mine": File exists`,
      }),
    )
    expect(readFileSync(`${scratch.path}/mine`, 'utf8')).toBe('mine')
  })

  test.each([['../outside'], ['/etc/passwd'], ['base/../../x'], ['a//b'], [''], ['a\0b']])(
    'does not write to "%s"',
    (pathname) => {
      expect(() => receive([begin(pathname)], { asked: ['a'] })).toThrow(
        expect.objectContaining({ code: 'SERVER' }),
      )
    },
  )

  test.each([
    ['another file', [begin('b'), end(0)]],
    ['a file that was asked for later', [begin('c'), end(0)]],
    ['the end of a file that was asked for later', [{ type: 'vanished', pathname: 'c' } as const]],
    ['more files', [begin('a'), end(0), begin('c'), end(0), begin('d')]],
  ])('takes no %s', (_what, events) => {
    expect(() => receive(events, { asked: ['a', 'c'] })).toThrow(
      expect.objectContaining({ code: 'SERVER', message: expect.stringContaining('it was not asked for') }),
    )
    expect(existsSync(`${scratch.path}/b`)).toBe(false)
    expect(existsSync(`${scratch.path}/d`)).toBe(false)
  })

  test.each([
    ['fewer bytes than its end says', [begin('a'), bytes('x'), end(2)]],
    ['more bytes than its end says', [begin('a'), bytes('xy'), end(1)]],
    ['more bytes than were announced', [announce('a', 1), bytes('xy')]],
    ['another size than was announced', [announce('a', 1), bytes('x'), end(2)]],
    ['bytes of no file', [bytes('x')]],
    ['an end of no file', [end(0)]],
    ['a file within a file', [begin('a'), begin('b')]],
  ])('refuses %s', (_what, events) => {
    expect(() => receive(events)).toThrow(expect.objectContaining({ code: 'SERVER' }))
  })

  test('says which file could not be written', () => {
    mkdirSync(`${scratch.path}/no`)
    chmodSync(`${scratch.path}/no`, 0o700)
    expect(() => receive([begin('nowhere/1')])).toThrow(
      expect.objectContaining({
        message: `could not create file "${scratch.path}/nowhere/1": No such file or directory`,
      }),
    )
  })
})
