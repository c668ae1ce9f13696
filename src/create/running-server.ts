import { readlinkSync, realpathSync, statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { Pathname } from '../files/pathname.js'
import { readNames } from '../files/read-directory.js'
import { readSmallFile } from '../files/read-small-file.js'
import { describeSystemError, ioError, isNotThere } from '../files/system-error.js'

/** @see src/include/miscadmin.h (`DIRECTORY_LOCK_FILE`), src/include/utils/pidfile.h */
const PID_FILE = 'postmaster.pid'
const PID_FILE_BYTES = 64 * 1024

/**
 * The process of the server that runs in this very directory. A copy of a running server's directory has that one's file, which
 * names a process that works elsewhere.
 *
 * @returns its number; `undefined` when there is none, as far as can be seen from here
 * @throws {@link PbManifestError} `IO`
 */
export function findRunningServer(directory: string): number | undefined {
  const [pidText = '', dataDirectory = ''] = readPidFile(directory)
  // A standalone backend writes the number with a minus sign.
  const pid = /^-?[1-9][0-9]{0,9}$/.test(pidText.trim()) ? Math.abs(Number(pidText)) : undefined
  if (pid === undefined || !isAlive(pid)) return undefined
  return (worksIn(pid, directory) ?? isSamePath(dataDirectory, directory)) ? pid : undefined
}

function readPidFile(directory: string): readonly string[] {
  return readSmallFile(`${directory}/${PID_FILE}`, PID_FILE_BYTES)?.toString('utf8').split('\n') ?? []
}

/**
 * A tablespace that a copy shares with the cluster that it is a copy of, as far as the copied `postmaster.pid` says where that is: its
 * link was copied, and still leads there.
 */
export function findSharedTablespace(
  directory: string,
): { readonly oid: Pathname; readonly dataDirectory: string } | undefined {
  const [, dataDirectory = ''] = readPidFile(directory)
  if (!isAbsolute(dataDirectory) || isSamePath(dataDirectory, directory)) return undefined
  const oid = tablespacesOf(directory).find((name) =>
    isSamePath(`${dataDirectory}/pg_tblspc/${name}`, `${directory}/pg_tblspc/${name}`),
  )
  return oid === undefined ? undefined : { oid, dataDirectory }
}

function tablespacesOf(directory: string): Pathname[] {
  try {
    return readNames(`${directory}/pg_tblspc`)
  } catch (error) {
    if (isNotThere(error)) return []
    throw ioError(`could not open directory "${directory}/pg_tblspc"`, error)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return describeSystemError(error)?.code === 'EPERM'
  }
}

/** Whether a process has this as its working directory, as a server has; `undefined` when that is not to be seen. */
function worksIn(pid: number, directory: string): boolean | undefined {
  try {
    readlinkSync(`/proc/${pid}/cwd`)
    const [theirs, ours] = [statSync(`/proc/${pid}/cwd`), statSync(directory)]
    return theirs.dev === ours.dev && theirs.ino === ours.ino
  } catch {
    return undefined
  }
}

function isSamePath(one: string, other: string): boolean {
  try {
    return realpathSync(one) === realpathSync(other)
  } catch {
    return false
  }
}
