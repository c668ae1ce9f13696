import type { SessionCommand } from '../../commands/replication-command.js'
import type { ConnectionOptions } from '../../connection/settings/connection-options.js'
import type { BackupHandle } from '../../session/backup.js'
import type { SessionNotice } from '../../session/backup-session.js'
import type { WireColumn } from '../../wire/wire-handler.js'
import type { WireErrorData } from '../wire-error-data.js'
import type { PackedRows } from './packed-rows.js'
import type { PieceMemory, StreamPart } from './stream-sender.js'

/** What the thread of a session is started with. Plain data and shared memory. */
export interface StartSession {
  readonly dataDirectory: string
  readonly server: ConnectionOptions
  readonly fragmentDirectory: string
  readonly pieces: PieceMemory
  /** Whether nobody waits for it yet. */
  readonly isSpare: boolean
}

/** What is sent to the thread of a session. */
export type MessageToSession =
  /** Run this command; the one before it has been answered. */
  | {
      readonly type: 'run'
      readonly command: SessionCommand
      /** The backup that JOIN_BACKUP names, if there is one. */
      readonly backup: BackupHandle | undefined
      /** The place in it that the session is to take; `undefined`: just any. */
      readonly worker: number | undefined
    }
  /** Nobody waits for the answer to the command that runs; an end to it is due all the same. */
  | { readonly type: 'cancel' }
  /** What a `stream` message said was taken: its piece is free again. */
  | { readonly type: 'taken'; readonly piece: number }
  /** What a `pull` asked for: bytes, or that there are no more, or why there cannot be. */
  | {
      readonly type: 'input'
      readonly bytes: Uint8Array | undefined
      readonly error: WireErrorData | undefined
    }
  /** End the session, in good order or after a failure. The thread waits for the commands of another one. */
  | { readonly type: 'end'; readonly how: 'finish' | 'abort' }
  /** End the thread, which has no session. */
  | { readonly type: 'exit' }

/** What the thread of a session sends. */
export type MessageFromSession =
  /** A backup has started, with this session as its leader. Comes before the answer to START_BACKUP. */
  | { readonly type: 'started'; readonly backup: BackupHandle }
  /** The backup that this session leads is lost. */
  | { readonly type: 'lost'; readonly error: WireErrorData }
  | { readonly type: 'notice'; readonly notice: SessionNotice }
  | SessionAnswer
  | SessionEnd

/** The session is over. */
export interface SessionEnd {
  readonly type: 'ended'
  readonly error: WireErrorData | undefined
  /** What the thread holds on to, garbage or not. */
  readonly heapBytes: number
}

/** What a command is answered with: `rows`, or any number of `stream`, and then `done`; or `failed` at any point. */
export type SessionAnswer =
  | { readonly type: 'rows'; readonly columns: readonly WireColumn[]; readonly rows: PackedRows }
  /** Parts of streams, in order; their bytes are in this piece, one after the other. */
  | { readonly type: 'stream'; readonly piece: number; readonly parts: readonly StreamPart[] }
  /** The command wants more of what the client sends with it; `input` answers. */
  | { readonly type: 'pull' }
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly error: WireErrorData }
