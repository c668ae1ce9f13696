import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { FileReceiver, type ReceivedFile } from '../../../src/transfer/client/file-receiver.js'
import type { SentFileEvent } from '../../../src/transfer/commands/command-results.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()

function receive(events: readonly SentFileEvent[], fileMode = 0o600) {
  const files: ReceivedFile[] = []
  const vanished: string[] = []
  let bytes = 0
  const receiver = new FileReceiver({
    directory: scratch.path,
    fileMode,
    onBytes: (count) => {
      bytes += count
    },
    onFile: (file) => files.push(file),
    onVanished: (pathname) => vanished.push(pathname),
  })
  try {
    for (const event of events) receiver.accept(event)
  } finally {
    receiver.close()
  }
  return { files, vanished, bytes }
}

const begin = (pathname: string, size: number): SentFileEvent => ({
  type: 'file',
  pathname,
  size,
  modified: 0,
})
const bytes = (text: string): SentFileEvent => ({ type: 'bytes', bytes: Buffer.from(text) })
const end: SentFileEvent = { type: 'end', checksum: 'ab12cd34', throttledMs: 0 }

describe('receiving files', () => {
  test('writes each whole, with its mode, and says what came', () => {
    mkdirSync(`${scratch.path}/base`)
    const received = receive([
      begin('base/1', 5),
      bytes('abc'),
      bytes('de'),
      end,
      { type: 'vanished', pathname: 'base/2' },
      begin('base/3', 0),
      end,
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
      receive([begin('shared', 0), end], 0o640)
    } finally {
      process.umask(before)
    }
    expect(statSync(`${scratch.path}/shared`).mode & 0o777).toBe(0o640)
  })

  test('writes a name that is not UTF-8 as the bytes that it is', () => {
    receive([begin('caf\udce9', 1), bytes('x'), end])
    expect(existsSync(Buffer.concat([Buffer.from(`${scratch.path}/caf`), Buffer.of(0xe9)]))).toBe(true)
  })

  test('never overwrites a file', () => {
    writeFileSync(`${scratch.path}/mine`, 'mine')
    expect(() => receive([begin('mine', 0)])).toThrow(
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
      expect(() => receive([begin(pathname, 0)])).toThrow(expect.objectContaining({ code: 'SERVER' }))
    },
  )

  test.each([
    ['fewer bytes than promised', [begin('a', 2), bytes('x'), end]],
    ['more bytes than promised', [begin('a', 1), bytes('xy'), end]],
    ['bytes of no file', [bytes('x')]],
    ['an end of no file', [end]],
    ['a file within a file', [begin('a', 1), begin('b', 1)]],
  ])('refuses %s', (_what, events) => {
    expect(() => receive(events)).toThrow(expect.objectContaining({ code: 'SERVER' }))
  })

  test('says which file could not be written', () => {
    mkdirSync(`${scratch.path}/no`)
    chmodSync(`${scratch.path}/no`, 0o700)
    expect(() => receive([begin('nowhere/1', 0)])).toThrow(
      expect.objectContaining({
        message: `could not create file "${scratch.path}/nowhere/1": No such file or directory`,
      }),
    )
  })
})
