import { PbManifestError } from '../../../errors.js'

/** A message of the server in a physical replication stream. */
export type WalStreamMessage =
  | {
      readonly type: 'wal'
      readonly startLsn: bigint
      /** The memory is the connection's: good only until the next message. */
      readonly bytes: Buffer
    }
  | { readonly type: 'keepalive'; readonly isReplyRequested: boolean }

const WAL = 'w'.charCodeAt(0)
const KEEPALIVE = 'k'.charCodeAt(0)
const STATUS_UPDATE = 'r'.charCodeAt(0)

/** Start of the bytes, end of the server's WAL, time of sending. */
const WAL_HEADER_BYTES = 1 + 8 + 8 + 8
/** End of the server's WAL, time of sending, whether to reply. */
const KEEPALIVE_BYTES = 1 + 8 + 8 + 1
const STATUS_UPDATE_BYTES = 1 + 8 + 8 + 8 + 8 + 1

/**
 * Reads the payload of a CopyData message.
 *
 * @throws {@link PbManifestError} `SERVER` when it is no such message
 * @see https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-XLOGDATA
 */
export function parseWalStreamMessage(payload: Buffer): WalStreamMessage {
  switch (payload[0]) {
    case WAL:
      requireBytes(payload, WAL_HEADER_BYTES)
      return { type: 'wal', startLsn: payload.readBigUInt64BE(1), bytes: payload.subarray(WAL_HEADER_BYTES) }
    case KEEPALIVE:
      requireBytes(payload, KEEPALIVE_BYTES)
      return { type: 'keepalive', isReplyRequested: payload.readUInt8(KEEPALIVE_BYTES - 1) !== 0 }
    default:
      throw new PbManifestError(
        'SERVER',
        `unrecognized streaming header: "${payload.toString('latin1', 0, 1)}"`,
      )
  }
}

/** How far we are. 0 says nothing of a position. */
export interface WalStatus {
  readonly writtenLsn: bigint
  readonly flushedLsn: bigint
  /** Whether the server is to say something at once. Default false. */
  readonly wantsReply?: boolean
}

// 2000-01-01 UTC, where PostgreSQL's time begins.
const epochMilliseconds = Date.UTC(2000, 0, 1)

/**
 * Makes the payload of a Standby status update.
 *
 * @param now - milliseconds since 1970
 */
export function formatStatusUpdate(status: WalStatus, now: number): Buffer {
  const { writtenLsn, flushedLsn, wantsReply = false } = status
  const payload = Buffer.alloc(STATUS_UPDATE_BYTES)
  payload.writeUInt8(STATUS_UPDATE, 0)
  payload.writeBigUInt64BE(writtenLsn, 1)
  payload.writeBigUInt64BE(flushedLsn, 9)
  // Nothing is ever applied.
  payload.writeBigInt64BE(BigInt(now - epochMilliseconds) * 1000n, 25)
  payload.writeUInt8(wantsReply ? 1 : 0, STATUS_UPDATE_BYTES - 1)
  return payload
}

function requireBytes(payload: Buffer, bytes: number): void {
  if (payload.length < bytes) {
    throw new PbManifestError('SERVER', `streaming header too small: ${payload.length}`)
  }
}
