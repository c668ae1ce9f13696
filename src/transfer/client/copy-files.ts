import { throwIfAborted } from '../../files/yielder.js'
import type { SafePathname } from '../../files/safe-pathname.js'
import type { FileSink } from '../../target/file-sink.js'
import type { BackupSession } from '../session/backup-session.js'
import { FileReceiver, type ReceivedFile, type WantedFile } from './file-receiver.js'
import type { ReceivedChecksums } from './received-checksums.js'
import type { Activity } from './worker-counters.js'

/** How a session's files are copied, and who is told. */
export interface CopyContext {
  readonly session: BackupSession
  readonly sink: FileSink
  readonly verifyPageChecksums: boolean
  /** Of a session elsewhere: what arrives is compared with what was sent. */
  readonly checksums: ReceivedChecksums | undefined
  readonly onBytes: (bytes: number) => void
  readonly onFile: (file: ReceivedFile) => void
  readonly onTime: (activity: Activity, milliseconds: number) => void
  /** Puts another session in the place of one that has failed, or throws why there is none. Default: there is none. */
  readonly onFailure?: (error: unknown) => Promise<void>
  readonly signal: AbortSignal
}

/** What became of the files. */
export interface CopiedFiles {
  readonly files: readonly ReceivedFile[]
  /** Gone before they could be read. */
  readonly vanished: readonly SafePathname[]
}

/** Has the session send these files, and writes them. */
export async function copyFiles(context: CopyContext, wanted: readonly WantedFile[]): Promise<CopiedFiles> {
  const files: ReceivedFile[] = []
  const vanished: SafePathname[] = []
  for (let left = wanted; left.length > 0;) {
    const failure = await copySome(context, left, { files, vanished })
    if (failure === undefined) break
    await replaceSession(context, failure)
    left = wanted.slice(files.length + vanished.length)
  }
  return { files, vanished }
}

interface CopyFailure {
  readonly error: unknown
  readonly receiver: FileReceiver
}

/** So that the file of which a part came can come again, with those after it. */
async function replaceSession(
  { onBytes, onFailure }: CopyContext,
  { error, receiver }: CopyFailure,
): Promise<void> {
  try {
    if (onFailure === undefined) throw error
    await onFailure(error)
    onBytes(-receiver.retract())
  } catch (reason) {
    receiver.close()
    throw reason
  }
}

/** @returns `undefined` when all is here */
async function copySome(
  context: CopyContext,
  wanted: readonly WantedFile[],
  { files, vanished }: { readonly files: ReceivedFile[]; readonly vanished: SafePathname[] },
): Promise<CopyFailure | undefined> {
  const { session, sink, verifyPageChecksums, onBytes, onTime, signal } = context
  const receiver = new FileReceiver({
    sink,
    files: wanted,
    onBytes,
    onFile: (file) => {
      files.push(file)
      context.onFile(file)
    },
    onVanished: (pathname) => vanished.push(pathname),
  })
  const time = { receiving: 0, throttled: 0, writing: 0 }
  const loop = performance.eventLoopUtilization()
  let mark = performance.now()
  const lap = (): number => {
    const now = performance.now()
    const spent = now - mark
    mark = now
    return spent
  }
  try {
    const sendFile = {
      command: 'SEND_FILE',
      files: wanted,
      verifyChecksums: verifyPageChecksums,
      ...(sink.needsSizes && { sizes: true }),
    } as const
    for await (const event of await session.run(sendFile, signal)) {
      throwIfAborted(signal)
      context.checksums?.accept(event)
      time.receiving += lap()
      const writing = receiver.accept(event)
      if (writing !== undefined) await writing
      time.writing += lap()
      if (event.type === 'end') time.throttled += event.throttledMs
    }
    return undefined
  } catch (error) {
    return { error, receiver }
  } finally {
    // What the event loop did nothing in, it waited: for bytes, or for tokens.
    const { idle } = performance.eventLoopUtilization(loop)
    const waiting = Math.max(Math.min(idle, time.receiving) - time.throttled, 0)
    onTime('throttled', time.throttled)
    onTime('waiting', waiting)
    onTime('processing', Math.max(time.receiving - time.throttled - waiting, 0))
    onTime('writing', time.writing)
  }
}
