import { mkdir, readFile, rename, symlink, utimes, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { formatLsn, parseLsn } from '../../src/postgres/lsn.js'
import type { PlainBackup } from '../helpers/plain-backup.js'
import {
  addFile,
  changeMode,
  editManifest,
  flipBit,
  forgeManifest,
  largestFile,
  lineOf,
  listedFiles,
  makeDeepDirectories,
  makeFifo,
  makeSocket,
  overwrite,
  removeFile,
  renameFile,
  replaceBy,
  replaceByLink,
  resize,
  walSegments,
} from './damage.js'
import { unshare } from './linked-copy.js'

/** A way to damage a backup. */
export interface Row {
  readonly name: string
  /**
   * @returns what both tools must say in their messages, nearly always the name of a file; nothing when the backup is
   * still good
   */
  readonly damage: (backup: PlainBackup) => Promise<string | void>
  /** Beside the directory. */
  readonly arguments?: (backup: PlainBackup) => readonly string[]
  /** Our exit status when there is fault to find. Default 1; another where we can read no manifest. */
  readonly status?: 3 | 5
  /** Why we find fault where `pg_verifybackup` does not. */
  readonly stricter?: string
  /** What we say of a good backup, where `pg_verifybackup` says nothing. */
  readonly warning?: string
}

export const small = 'global/pg_filenode.map'
export const control = 'global/pg_control'

export const asIs = async (): Promise<void> => {}

async function tablespaceFile(backup: PlainBackup): Promise<string> {
  return largestFile(backup, 'pg_tblspc/')
}

export async function wal(backup: PlainBackup): Promise<string> {
  const [first] = await walSegments(backup)
  return `pg_wal/${first ?? 'none'}`
}

export const walFault = 'WAL parsing failed for timeline 1'

export const presence: readonly Row[] = [
  { name: 'nothing', damage: asIs },
  { name: 'an extra file', damage: (backup) => addFile(backup, 'base/1/99999') },
  { name: 'an extra hidden file', damage: (backup) => addFile(backup, '.hidden') },
  { name: 'an extra file in a new directory', damage: (backup) => addFile(backup, 'new/deep/file') },
  {
    name: 'an extra file in a tablespace',
    damage: (backup) => addFile(backup, `pg_tblspc/${backup.tablespaces[0]?.oid}/stray`),
  },
  {
    name: 'an extra file beside the manifest of that name',
    damage: (b) => addFile(b, 'base/backup_manifest'),
  },
  {
    name: 'an extra file whose name has 255 bytes',
    damage: (backup) => addFile(backup, `base/${'n'.repeat(255)}`),
  },
  {
    name: 'an extra empty directory',
    damage: ({ directory }) => mkdir(join(directory, 'base/99999')),
  },
  {
    name: 'files that come into being after the backup',
    damage: async (backup) => {
      for (const name of ['postgresql.auto.conf', 'recovery.signal', 'standby.signal'])
        await addFile(backup, name)
      await addFile(backup, 'pg_wal/archive_status/000000010000000000000001.ready')
    },
    warning: 'pbmanifest: warning: "recovery.signal"',
  },
  { name: 'a missing file', damage: (backup) => removeFile(backup, small) },
  { name: 'a missing file in a tablespace', damage: async (b) => removeFile(b, await tablespaceFile(b)) },
  { name: 'missing PG_VERSION', damage: (backup) => removeFile(backup, 'PG_VERSION') },
  { name: 'missing pg_control', damage: (backup) => removeFile(backup, control) },
  { name: 'missing backup_label', damage: (backup) => removeFile(backup, 'backup_label') },
  { name: 'a missing directory', damage: (backup) => removeFile(backup, 'base/1') },
  {
    name: 'a missing empty directory',
    damage: (backup) => removeFile(backup, 'pg_notify'),
    stricter: 'a server does not start without it',
  },
  {
    name: 'a missing tablespace link',
    damage: async (backup) => {
      const pathname = await tablespaceFile(backup)
      await removeFile(backup, pathname.split('/', 2).join('/'))
      return pathname
    },
  },
  {
    name: 'a tablespace directory that is gone',
    damage: async (backup) => {
      const [, oid] = (await tablespaceFile(backup)).split('/')
      return removeFile(backup, `../tablespaces/${oid}`).then(() => `pg_tblspc/${oid}`)
    },
  },
  {
    name: 'two tablespace links that changed places',
    damage: async (backup) => {
      const [first, second] = backup.tablespaces
      if (first === undefined || second === undefined) throw new Error('the backup has no two tablespaces')
      const pathname = await tablespaceFile(backup)
      await replaceBy(backup, `pg_tblspc/${first.oid}`, (path) => symlink(second.directory, path))
      await replaceBy(backup, `pg_tblspc/${second.oid}`, (path) => symlink(first.directory, path))
      return pathname
    },
  },
]

export const content: readonly Row[] = [
  { name: 'a file that grew', damage: (backup) => addFile(backup, small, 'x'.repeat(600)) },
  { name: 'a file that shrank', damage: (backup) => resize(backup, small, (size) => size - 1) },
  {
    name: 'a large file that lost a block',
    damage: async (b) => resize(b, await largestFile(b, 'base/'), (n) => n - 8192),
  },
  { name: 'an emptied file', damage: (backup) => resize(backup, small, () => 0) },
  { name: 'an empty file that got a byte', damage: async (b) => addFile(b, await emptyFile(b)) },
  { name: 'a bit flipped in a small file', damage: (backup) => flipBit(backup, small) },
  { name: 'a bit flipped in a large file', damage: async (b) => flipBit(b, await largestFile(b, 'base/')) },
  { name: 'the last bit of a large file', damage: async (b) => flipBit(b, ...(await lastByte(b))) },
  { name: 'a bit flipped in a tablespace', damage: async (b) => flipBit(b, await tablespaceFile(b)) },
  { name: 'a bit flipped in PG_VERSION', damage: (backup) => flipBit(backup, 'PG_VERSION') },
  { name: 'a bit flipped in pg_control', damage: (backup) => flipBit(backup, control, 20) },
  {
    name: 'a bit flipped in the zeros behind pg_control',
    damage: (backup) => flipBit(backup, control, 8000),
  },
  { name: 'pg_control cut short', damage: (backup) => resize(backup, control, () => 200) },
  { name: 'PG_VERSION of many kilobytes', damage: (b) => addFile(b, 'PG_VERSION', '15\n'.repeat(2000)) },
  { name: 'backup_label of many megabytes', damage: (b) => addFile(b, 'backup_label', 'x'.repeat(2 ** 21)) },
  { name: 'a bit flipped in backup_label', damage: (backup) => flipBit(backup, 'backup_label') },
  {
    name: 'other content of the same size',
    damage: (backup) => addFile(backup, small, 'y'.repeat(512)),
  },
  {
    name: 'two files of one size that changed places',
    damage: async (backup) => {
      const { directory } = backup
      const [one, two] = await twinsOf(backup)
      await rename(join(directory, one), join(directory, 'aside'))
      await rename(join(directory, two), join(directory, one))
      await rename(join(directory, 'aside'), join(directory, two))
      return two
    },
  },
  {
    name: 'only the time of a file',
    damage: async ({ directory }) => {
      await unshare(join(directory, small))
      await utimes(join(directory, small), 1, 1)
    },
  },
]

/** Two files that differ in content, but not in size. */
async function twinsOf(backup: PlainBackup): Promise<[string, string]> {
  const files = (await listedFiles(backup)).filter(({ size }) => size === 8192)
  const [one] = files
  const two = files.find(({ checksum }) => checksum !== one?.checksum)
  if (one === undefined || two === undefined) throw new Error('the backup has no two such files')
  return [one.pathname, two.pathname]
}

async function emptyFile(backup: PlainBackup): Promise<string> {
  const file = (await listedFiles(backup)).find(({ size }) => size === 0)
  if (file === undefined) throw new Error('the backup has no empty file')
  return file.pathname
}

async function lastByte(backup: PlainBackup): Promise<[string, number]> {
  const pathname = await largestFile(backup, 'base/')
  return [pathname, (await readFile(join(backup.directory, pathname))).length - 1]
}

export const kinds: readonly Row[] = [
  { name: 'a file replaced by a directory', damage: (b) => replaceBy(b, small, (path) => mkdir(path)) },
  { name: 'a file replaced by a FIFO', damage: (backup) => replaceBy(backup, small, makeFifo) },
  { name: 'a file replaced by a socket', damage: (backup) => replaceBy(backup, small, makeSocket) },
  {
    name: 'a file replaced by a link to a device',
    damage: (b) => replaceBy(b, small, (p) => symlink('/dev/null', p)),
  },
  {
    name: 'a file replaced by a broken link',
    damage: (b) => replaceBy(b, small, (p) => symlink('nowhere', p)),
  },
  {
    name: 'a file replaced by a link to itself',
    damage: (b) => replaceBy(b, small, (path) => symlink('pg_filenode.map', path)),
  },
  { name: 'a file replaced by a link to it', damage: (backup) => replaceByLink(backup, small) },
  { name: 'a directory replaced by a link to it', damage: (backup) => replaceByLink(backup, 'base/1') },
  { name: 'pg_wal replaced by a link to it', damage: (backup) => replaceByLink(backup, 'pg_wal') },
  {
    name: 'a directory replaced by a file',
    damage: (b) => replaceBy(b, 'base/1', (path) => writeFile(path, '')),
  },
  {
    name: 'the directory global replaced by a file',
    damage: (b) => replaceBy(b, 'global', (p) => writeFile(p, '')),
  },
  { name: 'PG_VERSION replaced by a FIFO', damage: (b) => replaceBy(b, 'PG_VERSION', makeFifo) },
  { name: 'PG_VERSION replaced by a directory', damage: (b) => replaceBy(b, 'PG_VERSION', (p) => mkdir(p)) },
  { name: 'pg_control replaced by a FIFO', damage: (backup) => replaceBy(backup, control, makeFifo) },
  { name: 'backup_label replaced by a FIFO', damage: (b) => replaceBy(b, 'backup_label', makeFifo) },
  { name: 'a FIFO that is extra', damage: (b) => makeFifo(join(b.directory, 'fifo')).then(() => 'fifo') },
  {
    name: 'a link that leads back to the top',
    damage: ({ directory }) => symlink(directory, join(directory, 'base/loop')).then(() => 'base/loop'),
  },
  {
    name: 'two links that lead to each other',
    damage: async ({ directory }) => {
      await symlink('two', join(directory, 'one'))
      await symlink('one', join(directory, 'two'))
      return 'one'
    },
  },
  {
    name: 'a chain of 41 links',
    damage: async ({ directory }) => {
      await writeFile(join(directory, 'recovery.signal'), '')
      for (let n = 0; n <= 40; n++) {
        await symlink(n === 0 ? 'recovery.signal' : `link${n - 1}`, join(directory, `link${n}`))
      }
      return 'link40'
    },
  },
  {
    name: 'directories 1000 deep',
    damage: (backup) => makeDeepDirectories(backup, { name: 'd', depth: 1000 }),
  },
  {
    name: 'directories deeper than a path may be long',
    damage: async (backup) => {
      const name = 'd'.repeat(250)
      await makeDeepDirectories(backup, { name, depth: 20 })
      // We show the beginning of such a name.
      return '": File name too long'
    },
  },
  { name: 'an unreadable file', damage: (backup) => changeMode(backup, small, 0) },
  { name: 'an unreadable directory', damage: (backup) => changeMode(backup, 'base/1', 0) },
  { name: 'a directory that may be listed but not entered', damage: (b) => changeMode(b, 'base/1', 0o400) },
  { name: 'unreadable PG_VERSION', damage: (backup) => changeMode(backup, 'PG_VERSION', 0) },
  { name: 'unreadable pg_control', damage: (backup) => changeMode(backup, control, 0) },
  { name: 'an unreadable manifest', status: 5, damage: (b) => changeMode(b, 'backup_manifest', 0) },
  { name: 'an unreadable directory of WAL', damage: (b) => changeMode(b, 'pg_wal', 0).then(() => walFault) },
  {
    name: 'a backup that is read-only',
    damage: async (backup) => {
      for (const { pathname } of await listedFiles(backup)) await changeMode(backup, pathname, 0o400)
      for (const name of ['', 'base', 'base/1', 'global', 'pg_wal']) await changeMode(backup, name, 0o500)
    },
  },
]

export const manifests: readonly Row[] = [
  {
    name: 'edited, without a new checksum',
    status: 3,
    damage: (b) =>
      editManifest(b, (text) => text.replace('"Size": 8192', '"Size": 8193')).then(
        () => 'manifest checksum mismatch',
      ),
  },
  {
    name: 'with another checksum',
    status: 3,
    damage: (b) =>
      editManifest(b, (text) => text.replace(/(?<="Manifest-Checksum": ").{8}/, '01234567')).then(
        () => 'manifest checksum mismatch',
      ),
  },
  {
    name: 'with an entry removed',
    damage: (b) =>
      forgeManifest(b, (text) => text.replace(`${lineOf(text, small)},\n`, '')).then(() => small),
  },
  {
    name: 'with an entry added',
    damage: async (backup) => {
      await forgeManifest(backup, (text) => {
        const line = lineOf(text, small)
        return text.replace(line, `${line.replace(small, 'global/never')},\n${line}`)
      })
      return 'global/never'
    },
  },
  { name: 'with another size', damage: (b) => forgeEntry(b, (line) => line.replace('512', '513')) },
  {
    name: 'with another checksum of a file',
    damage: (b) => forgeEntry(b, (line) => line.replace(/"[0-9a-f]{8}"/, '"01234567"')),
  },
  {
    name: 'with a checksum in capitals',
    damage: async (b) =>
      void (await forgeEntry(b, (line) => line.replace(/"[0-9a-f]{8}"/, (hex) => hex.toUpperCase()))),
  },
  {
    name: 'with a checksum that is too short',
    status: 3,
    damage: (b) => forgeEntry(b, (line) => line.replace(/(?<="[0-9a-f]{6})[0-9a-f]{2}"/, '"')),
  },
  {
    name: 'with the checksum of another algorithm',
    status: 3,
    damage: (b) => forgeEntry(b, (line) => line.replace('CRC32C', 'SHA256')),
  },
  {
    name: 'with an algorithm but no checksum',
    status: 3,
    damage: (b) => forgeEntry(b, (line) => line.replace(/, "Checksum": "[0-9a-f]{8}"/, '')),
  },
  {
    name: 'with algorithm NONE and a checksum',
    status: 3,
    damage: (b) => forgeEntry(b, (line) => line.replace('CRC32C', 'NONE')),
    stricter: 'the checksum would not be compared: an edit that hides damage',
  },
  {
    name: 'with a file twice',
    status: 3,
    damage: (b) => forgeEntry(b, (line) => `${line},\n${line}`),
  },
  {
    name: 'with a file twice, once encoded',
    status: 3,
    damage: (b) =>
      forgeEntry(
        b,
        (line) =>
          `${line},\n${line.replace(`"Path": "${small}"`, `"Encoded-Path": "${Buffer.from(small).toString('hex')}"`)}`,
      ),
  },
  {
    name: 'with a pathname that leaves the directory',
    status: 3,
    damage: async (backup) => {
      await writeFile(join(backup.root, 'outside'), '')
      const line = '{ "Path": "../outside", "Size": 0 },\n'
      await forgeManifest(backup, (text) => text.replace('{ "Path"', () => `${line}{ "Path"`))
      return '../outside'
    },
  },
  {
    name: 'with an absolute pathname',
    status: 3,
    damage: async (backup) => {
      await forgeManifest(backup, (text) =>
        text.replace('{ "Path"', '{ "Path": "/dev/null", "Size": 0 },\n{ "Path"'),
      )
      return '/dev/null'
    },
  },
  {
    name: 'with the files on the line of the checksum',
    status: 3,
    damage: async (backup) => {
      await editManifest(backup, (text) => {
        const start = text.indexOf('"Files"')
        const rest = text.slice(start).replaceAll('\n', ' ').trimEnd()
        const head = `${text.slice(0, start)}\n`
        return `${head}${rest}\n`
      })
      await forgeManifest(backup, (text) => text)
      return 'manifest'
    },
    stricter: 'the checksum does not cover the list of files',
  },
  {
    name: 'cut in the middle',
    status: 3,
    damage: (b) =>
      editManifest(b, (text) => text.slice(0, text.length >> 1)).then(
        () => 'could not parse backup manifest',
      ),
  },
  {
    name: 'cut before its last byte',
    status: 3,
    damage: (b) =>
      editManifest(b, (text) => text.slice(0, -1)).then(() => 'last line not newline-terminated'),
  },
  {
    name: 'empty',
    status: 3,
    damage: (b) => editManifest(b, () => '').then(() => 'could not parse backup manifest'),
  },
  { name: 'missing', status: 5, damage: (backup) => removeFile(backup, 'backup_manifest') },
  {
    name: 'that is no JSON',
    status: 3,
    damage: (b) => editManifest(b, () => 'manifest\n\n').then(() => 'could not parse backup manifest'),
  },
  {
    name: 'of version 3',
    status: 3,
    damage: (b) =>
      forgeManifest(b, (text) => text.replace('Version": 1', 'Version": 3')).then(
        () => 'unexpected manifest version',
      ),
  },
  {
    name: 'that is a directory',
    status: 5,
    damage: (b) => replaceBy(b, 'backup_manifest', (path) => mkdir(path)),
  },
  { name: 'that is a link to it', damage: (b) => replaceByLink(b, 'backup_manifest') },
]

async function forgeEntry(backup: PlainBackup, edit: (line: string) => string): Promise<string> {
  await forgeManifest(backup, (text) => {
    const line = lineOf(text, small)
    return text.replace(line, () => edit(line))
  })
  return small
}

export const walRows: readonly Row[] = [
  {
    name: 'whose range is taken out of the manifest',
    damage: (b) => forgeManifest(b, (text) => text.replace(/\{ "Timeline".*\}/, '')),
  },
  {
    name: 'whose range ends beyond it',
    damage: (b) =>
      forgeManifest(b, (text) => text.replace(/(?<="End-LSN": ")[^"]+/, '0/F000000')).then(() => walFault),
  },
  {
    name: 'whose range ends at the highest LSN',
    damage: (b) =>
      forgeManifest(b, (text) => text.replace(/(?<="End-LSN": ")[^"]+/, 'FFFFFFFF/FFFFFFFF')).then(
        () => walFault,
      ),
  },
  {
    name: 'whose range is empty',
    damage: (b) =>
      forgeManifest(b, (text) => text.replace(/(?<="Start-LSN": "([^"]+)", "End-LSN": ")[^"]+/, '$1')).then(
        () => walFault,
      ),
  },
  {
    name: 'whose range starts later than backup_label says',
    damage: (b) =>
      forgeManifest(b, (text) => text.replace(/(?<="Start-LSN": ".*)28"/, '60"')).then(() => 'backup_label'),
    stricter: 'a server that starts on the backup needs WAL from where backup_label says',
  },
  {
    name: 'whose range is of another timeline',
    damage: (b) =>
      forgeManifest(b, (text) => text.replace('"Timeline": 1', '"Timeline": 2')).then(
        () => 'WAL parsing failed for timeline 2',
      ),
  },
  { name: 'with a segment missing', damage: async (b) => removeFile(b, await wal(b)).then(() => walFault) },
  {
    name: 'with a segment missing, but not asked for',
    damage: async (b) => void (await removeFile(b, await wal(b))),
    arguments: () => ['-n'],
  },
  { name: 'whose directory is missing', damage: (b) => removeFile(b, 'pg_wal').then(() => walFault) },
  {
    name: 'with a segment emptied',
    damage: async (b) => resize(b, await wal(b), () => 0).then(() => walFault),
  },
  {
    name: 'with a segment cut in its first page',
    damage: async (b) => resize(b, await wal(b), () => 4096).then(() => walFault),
  },
  {
    name: 'with a segment cut short',
    damage: async (b) => resize(b, await wal(b), (size) => size - 8192).then(basename),
    stricter: 'a server refuses a segment that has not its whole size',
  },
  {
    name: 'with a segment of another cluster',
    damage: async (b) => flipBit(b, await wal(b), 24).then(basename),
    stricter: 'a server refuses a segment with another system identifier, pg_waldump does not look at it',
  },
  {
    name: 'with a segment that holds other WAL',
    damage: async (b) => flipBit(b, await wal(b), 10).then(() => walFault),
  },
  {
    name: 'with its first page zeroed',
    damage: async (b) => overwrite(b, await wal(b), 0, Buffer.alloc(8192)).then(() => walFault),
  },
  {
    name: 'with zeros behind its end',
    damage: async (b) => void (await overwrite(b, await wal(b), 8192, Buffer.alloc(2 ** 20 - 8192))),
  },
  {
    name: 'with a segment all zeros',
    damage: async (b) => overwrite(b, await wal(b), 0, Buffer.alloc(2 ** 20)).then(() => walFault),
  },
  {
    name: 'with a bit flipped in a record',
    damage: async (b) => flipBit(b, await wal(b), 100).then(() => walFault),
  },
  {
    name: 'with a bit flipped in the header of the first record',
    damage: async (b) => flipBit(b, await wal(b), 50).then(() => walFault),
  },
  {
    name: 'with a bit flipped in the padding of its first page',
    damage: async (b) => void (await flipBit(b, await wal(b), 20)),
  },
  {
    name: 'with a bit flipped behind its end',
    damage: async (b) => void (await flipBit(b, await wal(b), 2 ** 20 - 1)),
  },
  {
    name: 'whose range ends in the middle of its last record',
    damage: (b) =>
      forgeManifest(b, (text) =>
        text.replace(/(?<="End-LSN": ")[^"]+/, (lsn) => formatLsn((parseLsn(lsn) ?? 0n) - 8n)),
      ).then(() => walFault),
    stricter: 'pg_waldump does not look at a record that goes over the end',
  },
  {
    name: 'with a segment that is only partial',
    damage: async (b) => renameFile(b, await wal(b), '.partial').then(() => walFault),
  },
  {
    name: 'with a segment replaced by a directory',
    damage: async (b) => replaceBy(b, await wal(b), (path) => mkdir(path)).then(() => walFault),
  },
  {
    name: 'with a segment replaced by a broken link',
    damage: async (b) => replaceBy(b, await wal(b), (path) => symlink('nowhere', path)).then(() => walFault),
  },
  {
    name: 'with an unreadable segment',
    damage: async (b) => changeMode(b, await wal(b), 0).then(() => walFault),
  },
  {
    name: 'that lies elsewhere',
    damage: async (backup) => {
      await replaceByLink(backup, 'pg_wal')
      await replaceBy(backup, 'pg_wal', (path) => mkdir(path))
    },
    arguments: ({ root }) => ['-w', join(root, 'moved-pg_wal')],
  },
  {
    name: 'that lies elsewhere, and no directory for it',
    damage: async (backup) => {
      await replaceByLink(backup, 'pg_wal')
      return removeFile(backup, 'pg_wal')
    },
    arguments: ({ root }) => ['-w', join(root, 'moved-pg_wal')],
    stricter: 'a server does not start without pg_wal',
  },
  {
    name: 'that does not lie where it is said to',
    damage: async () => walFault,
    arguments: ({ root }) => ['-w', join(root, 'nowhere')],
  },
]

export const options: readonly Row[] = [
  {
    name: '-i for an extra file',
    damage: async (b) => void (await addFile(b, 'extra')),
    arguments: () => ['-i', 'extra'],
  },
  {
    name: '-i for an extra directory',
    damage: async (b) => void (await addFile(b, 'x/y/z')),
    arguments: () => ['-i', './x/'],
  },
  {
    name: '-i for a missing file',
    damage: async (b) => void (await removeFile(b, small)),
    arguments: () => ['-i', small],
  },
  {
    name: '-i for a damaged file',
    damage: async (b) => void (await flipBit(b, small)),
    arguments: () => ['-i', 'global'],
  },
  {
    name: '-i for what is not a file',
    damage: async (b) => void (await replaceBy(b, small, makeFifo)),
    arguments: () => ['-i', small],
  },
  {
    name: '-i for an unreadable directory',
    damage: async (b) => void (await changeMode(b, 'base/1', 0)),
    arguments: () => ['-i', 'base/1'],
  },
  {
    name: '-i for a part of a name',
    damage: (b) => addFile(b, 'global/1260x'),
    arguments: () => ['-i', 'global/1260'],
  },
  {
    name: '-i for a name like a negated glob',
    damage: (b) => flipBit(b, small),
    arguments: () => ['-i', '!base/*'],
  },
  {
    name: '-i given many times',
    damage: async (b) => void (await flipBit(b, small).then(() => addFile(b, 'extra'))),
    arguments: () => ['-i', small, '-i', 'extra'],
  },
  {
    name: '-i for PG_VERSION and pg_control, both replaced by FIFOs',
    damage: async (b) =>
      void (await replaceBy(b, 'PG_VERSION', makeFifo).then(() => replaceBy(b, control, makeFifo))),
    arguments: () => ['-i', 'PG_VERSION', '-i', control],
  },
  {
    name: '-s with a bit flipped',
    damage: async (b) => void (await flipBit(b, small)),
    arguments: () => ['-s'],
  },
  {
    name: '-s with a file that grew',
    damage: (b) => addFile(b, small, 'x'.repeat(600)),
    arguments: () => ['-s'],
  },
  {
    name: '-s with unreadable pg_control',
    damage: (b) => changeMode(b, control, 0),
    arguments: () => ['-s'],
    stricter: 'what pg_control says was to be compared, and is not',
  },
  {
    name: '-e with several problems',
    damage: (b) => removeFile(b, 'base/1/PG_VERSION').then(() => 'base/1/PG_VERSION'),
    arguments: () => ['-e'],
  },
  { name: '-q with a good backup', damage: asIs, arguments: () => ['-q'] },
  { name: '-q with a bit flipped', damage: (b) => flipBit(b, small), arguments: () => ['-q'] },
  {
    name: '-m with the manifest elsewhere',
    damage: async (b) => {
      await replaceByLink(b, 'backup_manifest')
      await removeFile(b, 'backup_manifest')
    },
    arguments: ({ root }) => ['-m', join(root, 'moved-backup_manifest')],
  },
  {
    name: '-m with no manifest there',
    status: 5,
    damage: async () => 'nowhere',
    arguments: ({ root }) => ['-m', join(root, 'nowhere')],
  },
]
