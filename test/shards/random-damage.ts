import { readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PlainBackup } from '../helpers/plain-backup.js'
import {
  addFile,
  changeMode,
  flipBit,
  listedFiles,
  makeFifo,
  removeFile,
  replaceBy,
  replaceByLink,
  resize,
  walSegments,
} from '../verify/damage.js'

/** Numbers that are the same for the same seed: from 0 to below the one that is asked for. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/**
 * Damages a backup in a way that the numbers choose.
 *
 * @returns what was done, for people
 */
export async function damageAtRandom(
  backup: PlainBackup,
  random: (below: number) => number,
): Promise<string> {
  const pick = <Item>(items: readonly Item[]): Item => items[random(items.length)] as Item
  const listed = await listedFiles(backup)
  const there: string[] = []
  for (const { pathname, size } of listed) {
    const stats = await stat(join(backup.directory, pathname)).catch(() => undefined)
    if (size > 0 && stats?.isFile() === true) there.push(pathname)
  }
  const file = pick(there)
  const directory = pick(['base', 'global', 'pg_xact', 'base/1', 'pg_logical', 'pg_twophase', 'pg_tblspc'])
  const ways: Readonly<Record<string, () => Promise<unknown>>> = {
    flip: () => flipBit(backup, file),
    'flip in a page': () => flipBit(backup, pick(there.filter((name) => /^base\/\d+\/\d+$/.test(name)))),
    'many flips': async () => {
      for (let count = 0; count < 20; count++) await flipBit(backup, pick(there))
    },
    remove: () => removeFile(backup, file),
    lengthen: () => resize(backup, file, (size) => size + 1),
    cut: () => resize(backup, file, (size) => Math.floor(size / 2)),
    fifo: () => replaceBy(backup, file, makeFifo),
    'link to nowhere': () => replaceBy(backup, file, (path) => symlink('nowhere', path)),
    'moved behind a link': () => replaceByLink(backup, file),
    extra: () => addFile(backup, `${file}.extra`),
    'extra in a directory of its own': () => addFile(backup, `${directory}/not/known/at all`),
    'extra in an empty directory': () => addFile(backup, 'pg_twophase/0000000000000001'),
    'a file for a directory': () => replaceBy(backup, directory, (path) => writeFile(path, 'x')),
    'no directory': () => removeFile(backup, directory),
    'a link up': () => symlink('..', join(backup.directory, directory, 'up')),
    'a directory for a file': () => replaceBy(backup, file, () => addFile(backup, `${file}/inside`)),
    'no access': () => changeMode(backup, file, 0),
    pg_control: () => flipBit(backup, 'global/pg_control', 6),
    backup_label: () => flipBit(backup, 'backup_label', random(30)),
    'no backup_label': () => removeFile(backup, 'backup_label'),
    'no PG_VERSION': () => removeFile(backup, 'PG_VERSION'),
    'no WAL': async () => {
      for (const name of await walSegments(backup)) await rm(join(backup.directory, 'pg_wal', name))
    },
    'flip in WAL': async () => flipBit(backup, `pg_wal/${pick(await walSegments(backup))}`),
    'extra in pg_wal': () => addFile(backup, 'pg_wal/what'),
    settings: () => writeFile(join(backup.directory, 'postgresql.auto.conf'), '# changed\n'),
    'all of a tablespace': async () => {
      const [oid = ''] = await readdir(join(backup.directory, 'pg_tblspc'))
      await rm(join(backup.directory, 'pg_tblspc', oid))
    },
  }
  const name = pick(Object.keys(ways))
  try {
    await ways[name]?.()
  } catch (error) {
    // An earlier damage may have taken what this one needs.
    return `${name}: ${String(error)}`
  }
  return `${name}: ${file}, ${directory}`
}
