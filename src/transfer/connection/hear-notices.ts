import type { PgClient } from './pg-connection.js'
import { onOneLine } from './reported-text.js'

/** Something that a server wants said, which is no error: that it waits for an archive, for example. */
export interface ServerNotice {
  readonly severity: 'WARNING' | 'NOTICE'
  /** One line. */
  readonly message: string
  readonly hint?: string | undefined
}

/** What `pg` makes of a NoticeResponse. Its severity is in the server's language. */
interface NoticeMessage {
  readonly message?: string | undefined
  readonly code?: string | undefined
  readonly hint?: string | undefined
}

/** SQLSTATEs of warnings. */
const WARNING_CLASS = '01'

/** Has a listener told of what the server says beside its answers, as soon as it does. */
export function hearNotices(client: PgClient, listener: (notice: ServerNotice) => void): void {
  client.on('notice', ({ message = '', code = '', hint }: NoticeMessage) => {
    listener({
      severity: code.startsWith(WARNING_CLASS) ? 'WARNING' : 'NOTICE',
      message: onOneLine(message),
      ...(hint !== undefined && { hint: onOneLine(hint) }),
    })
  })
}
