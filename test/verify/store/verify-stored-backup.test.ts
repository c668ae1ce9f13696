import { writeFileSync } from 'node:fs'
import { verifyStoredBackup } from 'pbmanifest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { emptyFile, formatManifest, versionFile } from '../../cli/small-backup.js'
import { pbmanifest } from '../../cli/pbmanifest.js'
import { runCommandLine } from '../../cli/run-command-line.js'
import type { ProgramResult } from '../../helpers/run-program.js'
import { BUCKET, type ObjectStore, startStore } from '../../helpers/stores/object-store.js'
import { errorAnswer } from '../../helpers/stores/store-proxy.js'
import type { VerifyReport } from '../../../src/verify/report.js'

const plain = `s3://${BUCKET}/plain`

/** A small object has less than half of it. */
const large = { path: 'base/1/16385', size: 1_000_000, checksum: 'fc256cd0' }

describe.each(['s3rver', 'fauxqs'] as const)('a backup at the store %s', (name) => {
  let store: ObjectStore

  beforeAll(async () => {
    store = await startStore(name)
    await store.put(`plain/${versionFile.path}`, '15\n')
    await store.put(`plain/${emptyFile.path}`, '')
    await store.put(`plain/${large.path}`, Buffer.alloc(large.size, 1))
    await store.put('plain/backup_manifest', formatManifest([versionFile, emptyFile, large]))
  })

  afterEach(() => store.proxy.reset())

  afterAll(async () => store.close())

  async function run(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<ProgramResult> {
    return await pbmanifest(['verify', '-n', ...args], { ...store.env, ...env })
  }

  async function verify(): Promise<VerifyReport> {
    return await verifyStoredBackup(plain, { noParseWal: true, jobs: 2, store: { env: store.env } })
  }

  async function found(): Promise<unknown> {
    const { verdict, problems } = await verify()
    return [verdict, problems.map(({ kind, path, message }) => [kind, path, message])]
  }

  test('verifies, and what a store cannot have is said not to be checked', async () => {
    const report = await verify()
    expect(report).toMatchObject({ verdict: 'verified', directory: plain, path: null, filesChecked: 3 })
    expect(report.notChecked).toContainEqual(
      expect.objectContaining({
        what: 'empty-directories',
        paths: expect.arrayContaining(['pg_notify', 'pg_stat']) as unknown,
      }),
    )
  })

  test('is verified by any number of threads, at a rate, quietly, with progress', async () => {
    const one = await run(['-j', '1', '-r', '100M', '-P', plain])
    expect(one).toMatchObject({ status: 0, stderr: expect.stringContaining('100%') as unknown })
    expect(await run(['-j', '7', '-q', plain])).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('has problems with objects that no directory can have; folders of a console are none', async () => {
    const odd = ['base/1/a\u0001b', ...(name === 'fauxqs' ? ['base//twice'] : [])]
    await store.put('plain/base/folder/', '')
    for (const key of odd) await store.put(`plain/${key}`, 'x')
    const report = await verify()
    for (const key of [...odd, 'base/folder/']) await store.remove(`plain/${key}`)
    expect(report.problems.map(({ kind, path }) => [kind, path])).toEqual(
      odd.toReversed().map((key) => ['extra', key]),
    )
  })

  test('is fetched again from where a connection broke', async () => {
    const times = new Map<string, number>()
    store.proxy.at = ({ url }) => {
      const count = (times.get(url) ?? 0) + 1
      times.set(url, count)
      if (count === 1) return { type: 'cut', after: url.endsWith(large.path) ? 100_000 : 2 }
      if (count === 2) return errorAnswer(503, 'SlowDown')
      if (count === 3) return errorAnswer(500, 'InternalError')
      return count === 4 ? { type: 'cut' } : undefined
    }
    expect(await found()).toEqual(['verified', []])
    const ranges = store.proxy.requests
      .filter(({ url }) => url.endsWith(large.path))
      .map(({ range }) => range)
    const rest = 'bytes=100000-999999'
    expect(ranges).toEqual([undefined, rest, rest, rest, rest])
  })

  test('is not called good when bytes came wrong, and right when they were read again', async () => {
    const times = new Map<string, number>()
    store.proxy.at = ({ url }) => {
      const count = (times.get(url) ?? 0) + 1
      times.set(url, count)
      // What the version is, is read before checksums are compared.
      const isWrong = url.endsWith(large.path) ? count === 1 : url.endsWith('PG_VERSION') && count === 2
      return isWrong ? { type: 'flip', at: 1 } : undefined
    }
    const { verdict, problems, filesChecked } = await verify()
    expect([verdict, filesChecked]).toEqual(['failed', 3])
    expect(problems).toEqual(
      [large, versionFile].map(({ path, checksum }) => ({
        kind: 'transient-mismatch',
        path,
        message: `checksum mismatch for file "${path}", but not when it was read again`,
        detail: 'the store, or what is between, gives wrong bytes at times',
        checksum: {
          algorithm: 'CRC32C',
          expected: checksum,
          found: expect.not.stringContaining(checksum) as string,
        },
      })),
    )
  })

  test('with --verbose, it is told that the store is asked again, and why', async () => {
    const failed = new Set<string>()
    store.proxy.at = ({ url }) => {
      const isOther = url.includes('list-type') || url.endsWith(large.path)
      if (!isOther || failed.has(url)) return undefined
      failed.add(url)
      return errorAnswer(503, 'SlowDown')
    }
    const again = 'asking the store again (try 2 of 10): the store asks for fewer requests'
    const { status, stderr } = await run(['-v', plain])
    expect([status, stderr.split(again).length - 1]).toEqual([0, 2])
    failed.clear()
    expect(await run([plain])).toMatchObject({ status: 0, stderr: '' })
  })

  test('has a problem with a file whose bytes are wrong each time, or that cannot be had', async () => {
    store.proxy.at = ({ url }) => {
      if (url.endsWith(large.path)) return { type: 'flip', at: 5 }
      return url.endsWith(versionFile.path) ? errorAnswer(403, 'InvalidObjectState') : undefined
    }
    expect(await found()).toEqual([
      'failed',
      [
        ['checksum-mismatch', large.path, `checksum mismatch for file "${large.path}"`],
        [
          'unreadable',
          versionFile.path,
          'could not read file "PG_VERSION": the object is in an archive tier and cannot be read',
        ],
      ],
    ])
    const { stderr } = await run([plain])
    expect(stderr).toContain('detail: Have the store restore it first: aws s3api restore-object.\n')
  })

  test('has no verdict when an object is replaced meanwhile, of which nothing is read', async () => {
    let hasChanged = false
    store.proxy.at = async ({ url }) => {
      if (hasChanged || !url.endsWith(large.path)) return undefined
      hasChanged = true
      await store.put(`plain/${large.path}`, Buffer.alloc(large.size, 2))
      return undefined
    }
    const { status, stderr } = await run([plain])
    await store.put(`plain/${large.path}`, Buffer.alloc(large.size, 1))
    expect(status).toBe(5)
    expect(stderr).toContain(
      `could not read file "${large.path}": the object was replaced after it was listed`,
    )
    expect(stderr).toContain(`the backup in "${plain}" has changed while it was verified`)
    expect(stderr).toContain('hint: Somebody writes there')
  })

  test('has no verdict when credentials expire in the middle', async () => {
    store.proxy.at = ({ url }) => (url.endsWith(large.path) ? errorAnswer(400, 'ExpiredToken') : undefined)
    const { status, stderr } = await run([plain])
    expect([status, stderr]).toEqual([
      5,
      expect.stringContaining(`could not read "${plain}": the credentials have expired`),
    ])
  })

  test('is read by a clock that is set by what the store says of it', async () => {
    let isTold = false
    store.proxy.at = () => {
      if (isTold) return undefined
      isTold = true
      return errorAnswer(403, 'RequestTimeTooSkewed', { date: new Date(Date.now() + 60_000).toUTCString() })
    }
    expect(await found()).toEqual(['verified', []])
    expect(isTold).toBe(true)
  })

  describe('cannot be listed:', () => {
    test.each([
      { what: 'nothing there', place: `${BUCKET}/none`, words: 'There are no objects below this prefix.' },
      { what: 'backups below', place: BUCKET, words: `There is one below: "${plain}"` },
      {
        what: 'no bucket',
        place: 'nobucket/x',
        words: 'could not list "s3://nobucket/x": the bucket does not exist',
      },
      {
        what: 'no credentials',
        place: `${BUCKET}/plain`,
        env: { AWS_ACCESS_KEY_ID: '' },
        words: 'no AWS credentials were found',
      },
      {
        what: 'no such profile',
        place: `${BUCKET}/plain`,
        env: { AWS_ACCESS_KEY_ID: '', AWS_PROFILE: 'night' },
        words: 'there is no AWS profile "night"',
      },
      {
        what: 'a certificate that nobody knows',
        place: `${BUCKET}/plain`,
        env: { AWS_CA_BUNDLE: '' },
        words: 'AWS_CA_BUNDLE names a file of certificates',
      },
      {
        what: 'nobody there',
        place: `${BUCKET}/plain`,
        env: { AWS_ENDPOINT_URL: 'https://nobody.invalid' },
        words: 'could not list "s3://backups/plain": no connection to "https://nobody.invalid"',
      },
      {
        what: 'no right to',
        place: `${BUCKET}/plain`,
        answer: errorAnswer(403, 'AccessDenied'),
        words: 'access denied',
        hint: 's3:ListBucket',
      },
      {
        what: 'a listing that says an object twice',
        place: `${BUCKET}/plain`,
        answer: {
          type: 'body',
          change: (body: string) => body.replace(/<Contents>.*?<\/Contents>/s, (entry) => entry + entry),
        } as const,
        words: 'twice: it has changed meanwhile',
      },
      {
        what: 'a listing of something else',
        place: `${BUCKET}/plain`,
        answer: { type: 'body', change: (body: string) => body.replaceAll('plain/', 'other/') } as const,
        words: 'which is not below the prefix',
      },
      {
        what: 'a page that is no listing',
        place: `${BUCKET}/plain`,
        answer: { type: 'answer', status: 200, body: '<html><body>Log in</body></html>' } as const,
        words: 'the answer is no listing',
      },
    ])('$what', async ({ place, env, answer, words, hint }) => {
      store.proxy.at = () => answer
      const { status, stdout, stderr } = await runCommandLine(['verify', '-n', `s3://${place}`], {
        ...store.env,
        ...env,
      })
      expect(stdout).toBe('')
      expect(stderr).toContain(words)
      expect(stderr).toContain(hint ?? '')
      expect(stderr).not.toMatch(/\n\s+at /)
      expect(status).toBe(5)
    })
  })

  test('keys of a profile are as good as those of the environment', async () => {
    const { AWS_CONFIG_FILE: config = '', AWS_SHARED_CREDENTIALS_FILE: credentials = '' } = store.env
    writeFileSync(config, `[profile night]\nregion = us-east-1\nendpoint_url = ${store.proxy.url}\n`)
    writeFileSync(credentials, '[night]\naws_access_key_id = S3RVER\naws_secret_access_key = S3RVER\n')
    const env = { AWS_ACCESS_KEY_ID: '', AWS_ENDPOINT_URL: '', AWS_PROFILE: 'night' }
    expect(await run(['-q', plain], env)).toMatchObject({ status: 0, stderr: '' })
    writeFileSync(
      config,
      `[profile night]\ncredential_process = /bin/echo '{"Version":1,"AccessKeyId":"S3RVER","SecretAccessKey":"S3RVER"}'\n`,
    )
    writeFileSync(credentials, '')
    const byProgram = { AWS_ACCESS_KEY_ID: '', AWS_PROFILE: 'night' }
    expect(await run(['-q', plain], byProgram)).toMatchObject({ status: 0 })
  })
})

test.each([
  [['--chain', 's3://b-1/a'], '--chain is not for a backup in an object store'],
  [['--state', 'x', 's3://b-1/a'], '--state is not for a backup in an object store'],
  [['s3://b-1/a', 's3://b-1/b'], 'cannot verify several backups when one of them is in an object store'],
  [['--endpoint-url', 'https://x', 'a'], '--endpoint-url is for use with s3://'],
  [['--endpoint-url', 'x', 's3://b-1/a'], 'invalid endpoint URL "x"'],
  [['s3://'], 'invalid address "s3://"'],
])('%j is refused', async (args, words) => {
  const { status, stderr } = await runCommandLine(['verify', ...args])
  expect([status, stderr]).toEqual([2, expect.stringContaining(words)])
})
