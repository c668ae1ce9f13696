import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { Yielder } from '../../../src/files/yielder.js'
import { createFileHasher } from '../../../src/manifest/checksum/create-file-hasher.js'
import { fragmentFileName } from '../../../src/manifest/fragment/backup-id.js'
import {
  type Recorder,
  recordFile,
  writeFragment,
  type WriteFragmentOptions,
} from '../../../src/manifest/fragment/write-fragment.js'
import { backupId, entry, fragmentBytes } from '../fragment-text.js'
import { readItems } from './read-items.js'
import { useScratch } from '../use-scratch.js'
import { listedFiles, listedUpTo16, makeDataDirectory, specialFiles } from '../contents/data-directory.js'

const scratch = useScratch()
let directory: string
let output: string

beforeEach(() => {
  directory = join(scratch.path, 'small')
  output = join(scratch.path, fragmentFileName(backupId, 0))
  mkdirSync(directory)
  writeFileSync(join(directory, 'PG_VERSION'), '15\n')
  utimesSync(join(directory, 'PG_VERSION'), new Date(), new Date('2026-01-02T03:04:05.999Z'))
})

function write(options: Partial<WriteFragmentOptions> = {}): ReturnType<typeof writeFragment> {
  const share = options.files === undefined ? { workers: 1 } : {}
  return writeFragment({ directory, output, backupId, worker: 0, ...share, ...options })
}

/** Takes long enough to be caught in the middle. */
const slow = { checksumAlgorithm: 'SHA512' } as const

/** A file that is read before all others. */
function writeLargeFile(): void {
  writeFileSync(join(directory, 'A'), '')
  truncateSync(join(directory, 'A'), 96 * 1024 * 1024)
}

async function pathnamesIn(fragment: string): Promise<string[]> {
  return (await readItems(fragment)).flatMap((item) => (item.type === 'file' ? [item.file.pathname] : []))
}

/** Writes in vain, and makes sure that no fragment remains. */
async function failure(options: Partial<WriteFragmentOptions> = {}): Promise<unknown> {
  const error: unknown = await write(options).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(existsSync(output)).toBe(false)
  return error
}

async function record(pathname: string, size: number): Promise<unknown> {
  const recorder: Recorder = {
    directory,
    buffer: Buffer.alloc(2),
    hashing: { algorithm: 'CRC32C', hasher: await createFileHasher('CRC32C') },
    yielder: new Yielder(undefined),
  }
  return await recordFile({ pathname, size }, recorder)
}

describe('writeFragment', () => {
  test('records the golden file as the server does', async () => {
    expect(await write()).toEqual({
      files: 1,
      bytes: 3,
      fragmentChecksum: createHash('sha256')
        .update(`${entry('PG_VERSION')}\n`)
        .digest('hex'),
      specialFiles: [],
      leftOut: [],
      warnings: [],
    })
    expect(readFileSync(output, 'utf8')).toBe(fragmentBytes({ lines: [entry('PG_VERSION')] }).toString())
  })

  test.each(['CRC32C', 'SHA224', 'SHA256', 'SHA384', 'SHA512'] as const)(
    'records checksums of algorithm %s',
    async (algorithm) => {
      const content = Buffer.alloc(700_000, 'abc')
      writeFileSync(join(directory, 'large'), content)
      await write({ checksumAlgorithm: algorithm, files: ['large'] })
      const hasher = await createFileHasher(algorithm)
      hasher.update(content)
      const [item] = await readItems(output)
      expect(item).toMatchObject({ file: { size: 700_000, checksum: { algorithm, hex: hasher.digest() } } })
    },
  )

  test('records no checksums when it is told so', async () => {
    await write({ checksumAlgorithm: 'NONE' })
    const [item] = await readItems(output)
    expect(item).toMatchObject({ file: { size: 3, checksum: undefined } })
    expect(readFileSync(output, 'utf8')).not.toMatch(/"Checksum/)
  })

  test('gives every file of a directory to one of the workers', async () => {
    const whole = await makeDataDirectory(scratch.path)
    // Without pg_control, every PG directory of a tablespace counts.
    rmSync(join(scratch.path, 'tablespace/PG_14_202107181'), { recursive: true })
    writeFileSync(join(whole, 'PG_VERSION'), '15\n')
    const pathnames: string[] = []
    for (let worker = 0; worker < 4; worker++) {
      const fragment = join(whole, fragmentFileName(backupId, worker))
      const result = await writeFragment({ directory: whole, output: fragment, backupId, worker, workers: 4 })
      expect(result.specialFiles.toSorted()).toEqual(specialFiles)
      pathnames.push(...(await pathnamesIn(fragment)))
    }
    expect(pathnames.toSorted()).toEqual([...listedFiles, ...listedUpTo16].toSorted())
  })

  test('tells what no base backup has, and records it when told to', async () => {
    writeFileSync(join(directory, 'postmaster.opts'), 'x')
    expect(await write()).toMatchObject({ files: 1, leftOut: ['postmaster.opts'] })
    rmSync(output)
    expect(await write({ includeAll: true })).toMatchObject({ files: 2, leftOut: [] })
    expect(await pathnamesIn(output)).toEqual(['PG_VERSION', 'postmaster.opts'])
    rmSync(output)
    expect(await write({ files: ['postmaster.opts'] })).toMatchObject({
      files: 0,
      leftOut: ['postmaster.opts'],
    })
  })

  test.each<[string, Partial<WriteFragmentOptions>]>([
    ['a directory', {}],
    ['named files', { files: ['PG_VERSION'] }],
  ])('of %s of a version that is not known says so, and records it', async (_, options) => {
    mkdirSync(join(directory, 'global'))
    writeFileSync(join(directory, 'global/pg_control'), controlFileOfVersion(2100))
    const { files, warnings } = await write(options)
    expect(files).toBe(options.files === undefined ? 2 : 1)
    expect(warnings).toEqual([
      `"${directory}/global/pg_control" is of a version of PostgreSQL that is not known, and was not looked at`,
    ])
  })

  test('records nothing when there are more workers than files', async () => {
    expect(await write({ worker: 1, workers: 2 })).toMatchObject({ files: 0, bytes: 0 })
    expect(await pathnamesIn(output)).toEqual([])
  })

  test('records the files that are named, in that order', async () => {
    writeFileSync(join(directory, 'a'), '')
    expect(await write({ files: ['PG_VERSION', 'a'] })).toMatchObject({ files: 2, specialFiles: [] })
    expect(await pathnamesIn(output)).toEqual(['PG_VERSION', 'a'])
  })
})

describe('writeFragment leaves nothing behind and says why when', () => {
  test('the folder of the output is missing', async () => {
    const nowhere = join(scratch.path, 'no/fragment')
    expect(await failure({ output: nowhere })).toMatchObject({
      code: 'IO',
      message: `could not create file "${nowhere}": No such file or directory`,
    })
  })

  test('the data directory is missing', async () => {
    expect(await failure({ directory: '/nowhere' })).toMatchObject({
      code: 'IO',
      message: 'could not open directory "/nowhere": No such file or directory',
    })
  })

  test('the data directory is a file', async () => {
    const file = join(directory, 'PG_VERSION')
    expect(await failure({ directory: file })).toMatchObject({
      code: 'IO',
      message: `could not open directory "${file}": Not a directory`,
    })
  })

  test('pg_control is damaged', async () => {
    mkdirSync(join(directory, 'global'))
    writeFileSync(join(directory, 'global/pg_control'), Buffer.alloc(8192))
    expect(await failure()).toMatchObject({ code: 'BAD_FILE' })
  })

  test('a named file is missing', async () => {
    expect(await failure({ files: ['PG_VERSION', 'nothing'] })).toMatchObject({
      code: 'IO',
      details: ['"nothing": No such file or directory'],
    })
  })

  test.each([
    [
      'grows',
      (path: string) => appendFileSync(path, 'more'),
      'changed size from 3 to 7 bytes while it was read',
    ],
    [
      'shrinks',
      (path: string) => writeFileSync(path, ''),
      'changed size from 3 to 0 bytes while it was read',
    ],
    ['vanishes', (path: string) => rmSync(path), 'vanished while the directory was read'],
  ])('a file %s after the shares were planned', async (_, change, why) => {
    // The fragment is created between the planning and the reading; the large file is read first.
    writeLargeFile()
    let isChanged = false
    const timer = setInterval(() => {
      if (isChanged || !existsSync(output)) return
      isChanged = true
      change(join(directory, 'PG_VERSION'))
    }, 0)
    const error: unknown = await write(slow).catch((reason: unknown) => reason)
    clearInterval(timer)
    expect(isChanged).toBe(true)
    expect(error).toMatchObject({
      code: 'IO',
      message: 'could not record 1 of 2 files',
      details: [`"PG_VERSION": ${why}`],
    })
    expect(existsSync(output)).toBe(false)
  })

  test('it is told to stop', async () => {
    writeLargeFile()
    const controller = new AbortController()
    const timer = setInterval(() => existsSync(output) && controller.abort(), 0)
    const error = await failure({ ...slow, signal: controller.signal })
    clearInterval(timer)
    expect(error).toMatchObject({ code: 'ABORTED' })
  })

  test.each<[string, Partial<WriteFragmentOptions>]>([
    ['backup id must be 32 hexadecimal digits', { backupId: 'abc' }],
    ['backup id must be 32 hexadecimal digits', { backupId: backupId.toUpperCase() }],
    ['worker must be a whole number from 0', { worker: -1 }],
    ['worker must be a whole number from 0', { worker: 0.5 }],
    ['workers must be a whole number from 1', { workers: 0 }],
    ['workers must be a whole number from 1', { workers: Number.NaN }],
    ['worker 3 is not one of 3, which are counted from 0', { worker: 3, workers: 3 }],
    ['give either workers or files', { workers: 1, files: ['PG_VERSION'] }],
  ])('%s', async (message, options) => {
    expect(await failure(options)).toMatchObject({ code: 'USAGE', message })
  })
})

test('writeFragment does not touch a fragment that exists', async () => {
  writeFileSync(output, 'precious')
  await expect(write()).rejects.toMatchObject({
    code: 'IO',
    message: `could not create file "${output}": File exists`,
  })
  expect(readFileSync(output, 'utf8')).toBe('precious')
  expect(readdirSync(scratch.path).toSorted()).toEqual([fragmentFileName(backupId, 0), 'small'])
})

describe('recordFile', () => {
  test('cuts the time to whole seconds', async () => {
    expect(await record('PG_VERSION', 3)).toEqual({
      pathname: 'PG_VERSION',
      size: 3,
      lastModified: '2026-01-02 03:04:05 GMT',
      checksum: { algorithm: 'CRC32C', hex: '8a744722' },
      isPathEncoded: false,
    })
  })

  test('refuses a file of another size', async () => {
    expect(await record('PG_VERSION', 4)).toBe('changed size from 4 to 3 bytes while it was read')
  })

  test('refuses what became something else', async () => {
    mkdirSync(join(directory, 'folder'))
    symlinkSync('PG_VERSION', join(directory, 'link'))
    expect(await record('folder', 3)).toBe('is not a regular file')
    expect(await record('PG_VERSION/x', 3)).toBe('Not a directory')
    expect(await record('nothing', 3)).toBe('vanished while the directory was read')
  })
})

function controlFileOfVersion(version: number): Buffer {
  const bytes = Buffer.alloc(8192)
  bytes.writeUInt32LE(version, 8)
  return bytes
}
