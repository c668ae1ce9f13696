import { createHash, randomBytes } from 'node:crypto'
import { PbManifestError } from '../../errors.js'
import { displayPathname, type Pathname } from '../../files/pathname.js'
import { loadCrc32cHasher } from '../../manifest/checksum/crc32c-engines.js'
import { UNFINISHED_MARK } from '../../manifest/contents/made-by-backup.js'
import { listObjects } from '../../source/store/list-objects.js'
import { readXml, textOf } from '../../source/store/read-xml.js'
import { ask, type StoreClient } from '../../source/store/store-client.js'
import { StoreError, storeFailure } from '../../source/store/store-error.js'
import { formatUnfinishedMark, parseUnfinishedMark } from '../unfinished-mark.js'
import { abortUpload } from './multipart-upload.js'
import { isCode, isRefusal, putObject, type StoreChecks, type StoredChecksum } from './put-object.js'

/** How many objects are removed at a time. */
const LANES = 16

/** So often is it looked whether somebody has written meanwhile what is to be removed. */
const MOST_ROUNDS = 5

/**
 * Looks whether there is nothing below a prefix.
 *
 * @throws {@link PbManifestError} `IO`
 */
export async function requireNothingStored(
  client: StoreClient,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { prefix } = client.address
  const query = { 'list-type': '2', 'max-keys': '1', ...(prefix !== '' && { prefix }) }
  const page = await told(client, 'list', async () => readXml((await ask(client, { query }, signal)).body))
  if (page?.name !== 'ListBucketResult') {
    throw new PbManifestError('IO', `could not list "${client.address.shown}": the answer is no listing`)
  }
  if (page.children.some(({ name }) => name === 'Contents')) throw await occupied(client, signal)
}

/**
 * A place in an object store that belongs to this run: nothing was there, and a mark says that a backup is being written. Of two runs
 * that want it, the store lets one write the mark; where it cannot be told to, the one whose mark was overwritten finds that out.
 */
export class StoreClaim {
  readonly checks: StoreChecks
  readonly #client: StoreClient
  readonly #mark: Buffer
  #isMarked = true

  private constructor(client: StoreClient, mark: Buffer, checks: StoreChecks) {
    this.#client = client
    this.#mark = mark
    this.checks = checks
  }

  /**
   * Writes the mark, by which it is also seen what the store knows of checksums and conditions.
   *
   * @throws {@link PbManifestError} `IO`
   */
  static async make(
    client: StoreClient,
    checksum: StoredChecksum,
    signal: AbortSignal | undefined,
  ): Promise<StoreClaim> {
    await requireNothingStored(client, signal)
    const run = randomBytes(16).toString('hex')
    const mark = Buffer.from(
      formatUnfinishedMark({ backupId: undefined, directories: [client.address.shown] }, run),
    )
    const checks = await told(client, 'write', () => writeMark(client, { mark, run, checksum }, signal))
    const claim = new StoreClaim(client, mark, checks)
    try {
      await claim.requireOwn(signal)
      const objects = await told(client, 'list', () => listObjects(client, signal))
      if (objects.length > 1) throw await occupied(client, signal, 'is not empty any more')
    } catch (error) {
      await claim.release(undefined).catch(() => {})
      throw error
    }
    return claim
  }

  /** Whether the mark is still this run's. @throws {@link PbManifestError} `IO` */
  async requireOwn(signal: AbortSignal | undefined): Promise<void> {
    const there = await told(this.#client, 'read', () => readMark(this.#client, signal))
    if (there === this.#mark.toString('utf8')) return
    if (there !== undefined) throw await occupied(this.#client, signal)
    throw new PbManifestError('IO', `the mark of this backup in "${this.#client.address.shown}" is gone`, {
      hint: 'Somebody else has removed objects there. Take the backup again.',
    })
  }

  /** Takes the mark away: nothing but the manifest is missing. @throws {@link PbManifestError} `IO` */
  async release(signal: AbortSignal | undefined): Promise<void> {
    await this.requireOwn(signal)
    await told(this.#client, 'remove the mark in', () => this.#removeKey(UNFINISHED_MARK, signal))
    this.#isMarked = false
  }

  /** Gives up all uploads below the prefix: objects are there whole. */
  async abortUploads(signal: AbortSignal | undefined): Promise<void> {
    const client = this.#client
    const { prefix } = client.address
    const query = { uploads: '', ...(prefix !== '' && { prefix }) }
    const seen = new Set<string>()
    for (;;) {
      const page = readXml((await ask(client, { query }, signal)).body)
      const uploads = (page?.children ?? []).flatMap((upload) => {
        const [key, id] = [textOf(upload, 'Key'), textOf(upload, 'UploadId')]
        const isNew = key?.startsWith(prefix) === true && id !== undefined && !seen.has(id)
        return upload.name === 'Upload' && isNew ? [{ key, id }] : []
      })
      if (uploads.length === 0) return
      for (const { key, id } of uploads) {
        seen.add(id)
        await abortUpload(client, key, id, signal)
      }
    }
  }

  /**
   * Removes all that is below the prefix. Nobody of this run may write any more.
   *
   * @returns what could not be removed, a line each
   */
  async remove(): Promise<readonly string[]> {
    const { shown } = this.#client.address
    try {
      if (this.#isMarked) await this.requireOwn(undefined)
      else if ((await readMark(this.#client, undefined)) !== undefined)
        throw await occupied(this.#client, undefined)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      return [`what is in "${shown}" is left alone: ${reason}`]
    }
    const failures: string[] = []
    const attempt = async (what: string, action: () => Promise<unknown>): Promise<void> => {
      try {
        await action()
      } catch (error) {
        failures.push(`could not ${what}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    await attempt(`give up uploads to "${shown}"`, async () => {
      await this.abortUploads(undefined).catch((error: unknown) => {
        // Not every store can list them; those who began them have given them up.
        if (!isRefusal(error)) throw error
      })
    })
    await attempt(`list "${shown}"`, () => this.#removeObjects(attempt))
    if (failures.length === 0 && this.#isMarked) {
      await attempt(`remove "${shown}/${UNFINISHED_MARK}"`, () => this.#removeKey(UNFINISHED_MARK, undefined))
    }
    return failures
  }

  async #removeObjects(
    attempt: (what: string, action: () => Promise<unknown>) => Promise<void>,
  ): Promise<void> {
    const { shown } = this.#client.address
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const listed = await listObjects(this.#client, undefined)
      const objects = listed.filter(({ pathname }) => pathname !== UNFINISHED_MARK)
      if (objects.length === 0) return
      const next = objects.values()
      const lanes = Array.from({ length: LANES }, async () => {
        for (const { pathname } of next) {
          await attempt(`remove "${shown}/${displayPathname(pathname)}"`, () =>
            this.#removeKey(pathname, undefined),
          )
        }
      })
      await Promise.all(lanes)
    }
  }

  async #removeKey(pathname: Pathname, signal: AbortSignal | undefined): Promise<void> {
    const key = this.#client.address.prefix + pathname
    try {
      await ask(this.#client, { method: 'DELETE', key }, signal)
    } catch (error) {
      if (!isCode(error, 'NoSuchKey')) throw error
    }
  }
}

interface MarkParts {
  readonly mark: Buffer
  readonly run: string
  readonly checksum: StoredChecksum
}

/** Writes it with all that a store may know; what it refuses is left out. */
async function writeMark(
  client: StoreClient,
  { mark, run, checksum }: MarkParts,
  signal: AbortSignal | undefined,
): Promise<StoreChecks> {
  const none = { needsMd5: false, hasMd5Etags: false } as const
  const attempts: readonly StoreChecks[] = [
    { ...none, checksum, isConditional: true },
    { ...none, checksum, isConditional: false },
    { ...none, checksum: undefined, isConditional: true },
    { ...none, checksum: undefined, isConditional: false },
  ]
  const crc32c = await loadCrc32cHasher('little')
  const object = { key: client.address.prefix + UNFINISHED_MARK, size: mark.length, id: run, isNew: true }
  const put = (checks: StoreChecks): ReturnType<typeof putObject> =>
    putObject({ client, checks, crc32c }, object, mark, signal)
  const write = async (checks: StoreChecks): Promise<StoreChecks> => {
    const answer = await put(checks)
    const header = checksum === 'CRC32C' ? 'x-amz-checksum-crc32c' : 'x-amz-checksum-sha256'
    const md5 = createHash('md5').update(mark).digest('hex')
    const found = { ...checks, hasMd5Etags: answer?.etag === `"${md5}"` }
    if (checks.checksum === undefined || answer?.[header] !== undefined) return found
    const both = { ...found, needsMd5: true }
    try {
      // It is this run's already.
      await put({ ...both, isConditional: false })
      return both
    } catch (error) {
      if (!isRefusal(error)) throw error
      return { ...found, checksum: undefined }
    }
  }
  try {
    let refusal: unknown
    for (const checks of attempts) {
      try {
        return await write(checks)
      } catch (error) {
        if (!isRefusal(error)) throw error
        refusal = error
      }
    }
    throw refusal
  } catch (error) {
    throw isCode(error, 'PreconditionFailed') ? await occupied(client, signal) : error
  }
}

/** Says who is there. */
async function occupied(
  client: StoreClient,
  signal: AbortSignal | undefined,
  what = 'exists but is not empty',
): Promise<PbManifestError> {
  const { shown, prefix } = client.address
  const text = await readMark(client, signal).catch(() => undefined)
  if (text === undefined) return new PbManifestError('IO', `"${shown}" ${what}`)
  const message = `"${shown}" holds a backup of pbmanifest that is being taken, or was not finished`
  return new PbManifestError('IO', message, {
    details: [`It is written by ${parseUnfinishedMark(text).writer}.`],
    hint: `If that process is gone, remove what is there (aws s3 rm --recursive s3://${client.address.bucket}/${prefix}) and start again.`,
  })
}

async function readMark(client: StoreClient, signal: AbortSignal | undefined): Promise<string | undefined> {
  try {
    return (await ask(client, { key: client.address.prefix + UNFINISHED_MARK }, signal)).body
  } catch (error) {
    if (isCode(error, 'NoSuchKey')) return undefined
    throw error
  }
}

async function told<Result>(
  { address }: StoreClient,
  verb: string,
  action: () => Promise<Result>,
): Promise<Result> {
  try {
    return await action()
  } catch (error) {
    throw error instanceof StoreError ? storeFailure(`could not ${verb} "${address.shown}"`, error) : error
  }
}
