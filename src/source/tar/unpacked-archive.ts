import { throwIfAborted } from '../../files/yielder.js'
import type { SharedRateBuffer } from '../../threads/shared-rate.js'
import { Claims } from '../../threads/claims.js'
import { type StartMessage, SupervisedThread } from '../../threads/supervised-thread.js'
import { Inbox, SharedCount } from '../../threads/wake-up.js'
import { SourceReadError } from '../backup-source.js'
import type { Archive } from './archive.js'
import type { StartUnpacking, UnpackMessage, WantedMembers } from './unpack-archive.js'
import { ArchiveNotThereError, type ArchivePlace, isRemote } from './archive-place.js'
import { sendBytes } from './byte-channel.js'

const file = new URL('unpack-worker.js', import.meta.url)

/** What of an archive is unpacked, and how. */
export interface UnpackOptions {
  /** `undefined`: no members, but what the archive is before it was compressed. */
  readonly wanted: WantedMembers | undefined
  /** Where an archive without a path comes from. */
  readonly place: ArchivePlace | undefined
  readonly rate?: SharedRateBuffer | undefined
  readonly signal: AbortSignal | undefined
}

type Batch = UnpackMessage & { readonly type: 'batch' }

/**
 * Has a thread of its own unpack an archive, from its start to its end, no faster than what comes out of it is taken. Ends it
 * when nobody takes any more.
 *
 * @throws {@link SourceReadError}, at the place where nothing more comes; {@link PbManifestError} `ABORTED`, or `IO` when the
 * thread dies
 */
export async function* unpack(
  archive: Archive,
  { wanted, place, rate, signal }: UnpackOptions,
): AsyncGenerator<Batch, void, undefined> {
  const claims = new Claims()
  const taken = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const count = new SharedCount(new Int32Array(taken))
  const inbox = new Inbox<UnpackMessage | { readonly type: 'error'; readonly error: unknown }>()
  const fail = (error: unknown): void => inbox.push({ type: 'error', error })
  const thread = new SupervisedThread<StartMessage<StartUnpacking>, UnpackMessage>(file)
  let sending: Promise<void> | undefined
  const wake = (): void => fail(undefined)
  signal?.addEventListener('abort', wake)
  thread.watch({
    onMessage: (message) => {
      if (message.type === 'done') thread.markDone()
      if (message.type !== 'open') return inbox.push(message)
      if (!isRemote(archive) || place === undefined) return fail(new TypeError('the archive has no place'))
      sending = sendBytes(message.channel, (closed) => place.open(archive, closed)).catch(fail)
    },
    onFailure: fail,
  })
  const { path, compression } = archive
  thread.post({ type: 'start', start: { path, compression, wanted, claims: claims.buffer, taken, rate } })
  try {
    for (;;) {
      throwIfAborted(signal)
      const message = await inbox.next()
      if (message.type === 'done') return
      if (message.type === 'error') {
        throwIfAborted(signal)
        throw message.error
      }
      if (message.type === 'failure') throw errorOf(message)
      if (message.type === 'batch') {
        yield message
        count.add()
      }
    }
  } finally {
    signal?.removeEventListener('abort', wake)
    claims.abandon()
    count.wakeThreads()
    await thread.waitFor(thread.exit)
    await sending
  }
}

/** What an archive is before it was compressed. @throws as {@link unpack} */
export async function* unpackBytes(
  archive: Archive,
  options: Omit<UnpackOptions, 'wanted'>,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const { bytes } of unpack(archive, { ...options, wanted: undefined })) {
    yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }
}

function errorOf({
  isNotThere,
  message,
  detail,
}: UnpackMessage & { readonly type: 'failure' }): SourceReadError {
  return isNotThere ? new ArchiveNotThereError(message, detail) : new SourceReadError(message, detail)
}
