import { spawnSync } from 'node:child_process'
import type { UnprivilegedUser } from './unprivileged-user.js'

/** Whether `user` (`undefined`: ourselves) may enter this directory. */
export function canReach(user: UnprivilegedUser | undefined, directory: string): boolean {
  const identity = user === undefined ? {} : { uid: user.uid, gid: user.gid }
  return spawnSync('test', ['-x', directory], { cwd: '/', ...identity }).status === 0
}
