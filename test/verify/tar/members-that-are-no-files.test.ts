import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyBackup, type VerifyOptions, type VerifyReport } from 'pbmanifest'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { emptyFile, formatManifest, versionFile } from '../../cli/small-backup.js'
import { tarArchive, tarMember } from '../../files/tar/make-tar.js'
import { runProgram } from '../../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../../helpers/scratch-directory.js'
import { directories as neededDirectories, version } from './small-tar-backup.js'

/** Another file with the same bytes, and one with others of the same number. */
const copyOfVersion = { ...versionFile, path: 'base/1/PG_VERSION' }
const otherOfThree = { path: 'base/1/other', size: 3, checksum: '12345678' }
const ofSixBytes = { path: 'base/1/six', size: 6, checksum: '2fa33cba' }

const member = tarMember({ name: 'base/1/PG_VERSION' }, '15\n')
const empty = tarMember({ name: 'base/1/16384' })
const directories = [...neededDirectories, tarMember({ name: 'base/1/', typeflag: '5' })]

function link(name: string, target: string, typeflag: '1' | '2' = '1'): Buffer {
  return tarMember({ name, target, typeflag })
}

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

const options: VerifyOptions = { noParseWal: true }

function told({ problems }: VerifyReport): string[] {
  return problems.map(
    ({ kind, message, detail }) => `${kind}: ${message}${detail === undefined ? '' : ` | ${detail}`}`,
  )
}

async function writeBackup(name: string, files: Readonly<Record<string, Buffer | string>>): Promise<string> {
  const directory = join(scratch.path, name)
  await mkdir(directory)
  for (const [file, content] of Object.entries(files)) await writeFile(join(directory, file), content)
  return directory
}

interface Scenario {
  readonly what: string
  readonly members: readonly Buffer[]
  readonly problems: readonly string[]
  /** What the manifest has besides PG_VERSION, its copy and an empty file. */
  readonly listed?: readonly (typeof versionFile)[]
  readonly ignore?: readonly string[]
  /** Why the verdict on what GNU tar unpacks is another. */
  readonly differs?: string
}

const scenarios: readonly Scenario[] = [
  { what: 'files and directories', members: [version, member, empty], problems: [] },
  {
    what: 'a hard link to a file before it',
    members: [version, link('base/1/PG_VERSION', 'PG_VERSION'), empty],
    problems: [],
  },
  {
    what: 'a hard link by other spellings of the names',
    members: [version, link('./base//1/PG_VERSION', './PG_VERSION'), empty],
    problems: [],
  },
  {
    what: 'PG_VERSION as a hard link to that of a database',
    members: [member, link('PG_VERSION', 'base/1/PG_VERSION'), empty],
    problems: [],
  },
  {
    what: 'a hard link to a hard link',
    members: [version, link('base/1/other', 'PG_VERSION'), link('base/1/PG_VERSION', 'base/1/other'), empty],
    listed: [{ ...versionFile, path: 'base/1/other' }],
    problems: [],
  },
  {
    what: 'a hard link to a file of another size',
    members: [version, member, empty, link('base/1/six', 'PG_VERSION')],
    listed: [ofSixBytes],
    problems: [
      'size-mismatch: file "base/1/six" has size 3 in archive "base.tar" but size 6 in the manifest',
    ],
  },
  {
    what: 'a hard link to a file with other bytes',
    members: [version, member, empty, link('base/1/other', 'PG_VERSION')],
    listed: [otherOfThree],
    problems: ['checksum-mismatch: checksum mismatch for file "base/1/other" in archive "base.tar"'],
  },
  {
    what: 'a hard link to a file that is not what the manifest says, but what it says of the link',
    members: [
      version,
      empty,
      tarMember({ name: 'base/1/other' }, '15\n'),
      link('base/1/PG_VERSION', 'base/1/other'),
    ],
    listed: [otherOfThree],
    problems: ['checksum-mismatch: checksum mismatch for file "base/1/other" in archive "base.tar"'],
  },
  {
    what: 'a hard link to a file that is ignored',
    members: [tarMember({ name: 'copy' }, '15\n'), link('PG_VERSION', 'copy'), member, empty],
    ignore: ['copy'],
    problems: [],
  },
  {
    what: 'a hard link to a file that is ignored and has other bytes',
    members: [tarMember({ name: 'copy' }, '16\n'), link('PG_VERSION', 'copy'), member, empty],
    ignore: ['copy'],
    problems: ['checksum-mismatch: checksum mismatch for file "PG_VERSION" in archive "base.tar"'],
  },
  {
    what: 'a hard link that the manifest does not have',
    members: [version, member, empty, link('base/extra', 'PG_VERSION')],
    problems: ['extra: file "base/extra" is present in archive "base.tar" but not in the manifest'],
  },
  {
    what: 'a hard link to nothing',
    members: [version, empty, link('base/1/PG_VERSION', 'base/1/none')],
    problems: [
      'not-a-file: "base/1/PG_VERSION" is not a regular file in archive "base.tar" | it is a hard link to "base/1/none", and no file of that name was read before it',
    ],
  },
  {
    what: 'a hard link to a file behind it',
    members: [link('PG_VERSION', 'base/1/PG_VERSION'), member, empty],
    problems: [
      'not-a-file: "PG_VERSION" is not a regular file in archive "base.tar" | it is a hard link to "base/1/PG_VERSION", and no file of that name was read before it',
    ],
  },
  {
    what: 'a hard link that leads out of the backup',
    members: [version, member, empty, link('base/extra', '../../etc/passwd')],
    problems: [
      'bad-archive: archive "base.tar": hard link "base/extra" leads out of the backup | it leads to "../../etc/passwd"',
    ],
    differs: 'GNU tar takes the first part of the name away, and finds nothing to link to',
  },
  {
    what: 'a symbolic link in the place of a file',
    members: [version, empty, link('base/1/PG_VERSION', '/nowhere', '2')],
    problems: [
      'not-a-file: "base/1/PG_VERSION" is not a regular file in archive "base.tar" | it is a symbolic link to "/nowhere"',
    ],
  },
  {
    what: 'a symbolic link that replaces a good file',
    members: [version, member, empty, link('base/1/PG_VERSION', '/nowhere', '2')],
    problems: [
      'not-a-file: "base/1/PG_VERSION" is not a regular file in archive "base.tar" | it is a symbolic link to "/nowhere"',
    ],
  },
  {
    what: 'a symbolic link that leads out of the backup',
    members: [version, member, empty, link('base/1/2', '../../../nowhere', '2')],
    problems: [
      'bad-archive: archive "base.tar": symbolic link "base/1/2" leads out of the backup | it leads to "../../../nowhere"',
    ],
  },
  {
    what: 'a symbolic link with an absolute target',
    members: [version, member, empty, link('base/1/2', '/nowhere', '2')],
    problems: [
      'bad-archive: archive "base.tar": symbolic link "base/1/2" leads out of the backup | it leads to "/nowhere"',
    ],
  },
  {
    what: 'a symbolic link within the backup',
    members: [version, member, empty, link('base/2', '1/../1/./PG_VERSION', '2')],
    problems: ['extra: symbolic link "base/2" is present in archive "base.tar" but not in the manifest'],
  },
  {
    what: 'a symbolic link that is ignored',
    members: [version, member, empty, link('base/2', '/nowhere', '2')],
    ignore: ['base/2'],
    problems: [],
  },
  {
    what: 'the symbolic link of a tablespace',
    members: [
      version,
      member,
      empty,
      tarMember({ name: 'pg_tblspc/', typeflag: '5' }),
      link('pg_tblspc/16385/', '/', '2'),
    ],
    ignore: ['pg_tblspc'],
    problems: [],
  },
  {
    what: 'files below the symbolic link of a tablespace',
    members: [
      version,
      member,
      empty,
      tarMember({ name: 'pg_tblspc/', typeflag: '5' }),
      link('pg_tblspc/16385', '/nowhere', '2'),
      tarMember({ name: 'pg_tblspc/16385/PG_15_202209061/5/16390' }, '15\n15\n'),
    ],
    listed: [{ ...ofSixBytes, path: 'pg_tblspc/16385/PG_15_202209061/5/16390' }],
    problems: [
      'bad-archive: archive "base.tar": symbolic link "pg_tblspc/16385" leads out of the backup | it leads to "/nowhere"',
    ],
  },
  {
    what: 'a FIFO that the manifest does not have',
    members: [version, member, empty, tarMember({ name: 'base/1/fifo', typeflag: '6' })],
    problems: [
      'not-a-file: "base/1/fifo" is not a regular file or directory in archive "base.tar" | it is a FIFO',
    ],
  },
  {
    what: 'a FIFO that replaces a file',
    members: [version, member, empty, tarMember({ name: 'PG_VERSION', typeflag: '6' })],
    problems: ['not-a-file: "PG_VERSION" is not a regular file in archive "base.tar" | it is a FIFO'],
  },
  {
    what: 'devices',
    members: [
      version,
      member,
      empty,
      tarMember({ name: 'base/c', typeflag: '3' }),
      tarMember({ name: 'base/b', typeflag: '4' }),
    ],
    problems: [
      'not-a-file: "base/c" is not a regular file or directory in archive "base.tar" | it is a character device',
      'not-a-file: "base/b" is not a regular file or directory in archive "base.tar" | it is a block device',
    ],
  },
  {
    what: 'a directory in the place of a file',
    members: [tarMember({ name: 'PG_VERSION/', typeflag: '5' }), member, empty],
    problems: ['not-a-file: "PG_VERSION" is not a regular file in archive "base.tar" | it is a directory'],
  },
  {
    what: 'a file behind a FIFO of its name',
    members: [tarMember({ name: 'PG_VERSION', typeflag: '6' }), version, member, empty],
    problems: [
      'not-a-file: "PG_VERSION" is not a regular file in archive "base.tar" | it is a FIFO',
      'duplicate: file "PG_VERSION" is present more than once in archive "base.tar"',
    ],
    differs: 'the file replaces the FIFO; a name that is there twice is a problem nevertheless',
  },
]

test.each(scenarios)('$what', async ({ members, problems, listed = [], ignore = [], differs }) => {
  const manifest = formatManifest([versionFile, copyOfVersion, emptyFile, ...listed])
  const archive = tarArchive(...directories, ...members)
  const packed = await writeBackup('packed', { 'base.tar': archive, backup_manifest: manifest })
  const report = await verifyBackup(packed, { ...options, ignore, format: 'tar' })
  expect(told(report)).toEqual(problems)

  const unpacked = await writeBackup('unpacked', { backup_manifest: manifest })
  // It complains about what it does not unpack, and goes on.
  await runProgram('tar', ['-xf', join(packed, 'base.tar'), '-C', unpacked])
  const plain = await verifyBackup(unpacked, { ...options, ignore, format: 'plain' })
  const opposite = report.verdict === 'failed' ? 'verified' : 'failed'
  expect(plain.verdict).toBe(differs === undefined ? report.verdict : opposite)
})
