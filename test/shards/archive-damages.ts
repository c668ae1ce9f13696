import { tarArchive, tarMember } from '../files/tar/make-tar.js'
import { empty, intactArchives, remote, version } from '../verify/tar/small-tar-backup.js'

/** What is put in the place of the archives of a small backup. */
export const archiveDamages: Readonly<Record<string, Readonly<Record<string, Buffer | undefined>>>> = {
  none: {},
  'an archive is missing': { '16385.tar': undefined },
  'the data directory is missing': { 'base.tar': undefined },
  'an archive is cut': { '16385.tar': remote.subarray(0, 700) },
  'the data directory is cut': { 'base.tar': version.subarray(0, 700) },
  'a file is in two archives': {
    'base.tar': tarArchive(version, empty, tarMember({ name: 'more' }, 'x')),
    '16385.tar': tarArchive(remote, remote),
  },
  'an archive more': { '16386.tar': tarArchive(tarMember({ name: 'PG_15_202209061/5/1' }, 'x')) },
  'a file of a tablespace without archive in the data directory': {
    'base.tar': tarArchive(
      version,
      empty,
      tarMember({ name: 'pg_tblspc/16385/PG_15_202209061/5/16390' }, '15\n15\n'),
    ),
    '16385.tar': undefined,
  },
  'what is no archive': { 'what.txt': Buffer.from('x') },
  'two of the same contents': { 'base.tgz': intactArchives['base.tar'] },
}
