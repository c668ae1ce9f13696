import { readFileSync } from 'node:fs'

/** Somebody who may run a PostgreSQL server, which refuses to run as root. */
export interface UnprivilegedUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/**
 * Who runs the PostgreSQL programs: when we are root, the user `postgres` or else `nobody`; otherwise `undefined`, which
 * means ourselves.
 *
 * initdb looks up the name of its user, so a bare number without a passwd entry would not do.
 */
export function unprivilegedUser(): UnprivilegedUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readPasswd()
  const user = users.get('postgres') ?? users.get('nobody')
  if (user === undefined) {
    throw new Error('running as root, and /etc/passwd has neither "postgres" nor "nobody" to run a server')
  }
  return user
}

function readPasswd(): Map<string, UnprivilegedUser> {
  const users = new Map<string, UnprivilegedUser>()
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (name !== undefined && uid !== undefined && gid !== undefined) {
      users.set(name, { name, uid: Number(uid), gid: Number(gid) })
    }
  }
  return users
}
