import type { Manual } from '../manual.js'

export const statusManual: Manual = {
  description: `
\`pbmanifest status\` tells what \`pbmanifest verify --state\` has left in a state directory: which backups were verified, with what result, when the last verification without a problem was, since when each file has been read once, how large they are, and by how much they have grown since the backup of the same system before them.
A backup whose directory is gone, or has another backup in it now, does not count. To forget it, remove its directory in the state directory.`,
  options: {
    stale:
      'An age is a number and a unit: `s`, `min`, `h`, `d` or `w`. It counts from the end of the last verification without a problem.',
    output:
      'The JSON document follows `status-report.schema.json`. `nagios` is one line with performance data. `prometheus` is for a file of the textfile collector, which has to appear at once: write it under another name, and rename it.',
  },
  exitStatus: {
    done: 'The last verification of each backup found no problem, and none is too long ago.',
    problems:
      'The last verification of a backup found problems or saw only a part, or the last good one is longer ago than `--stale` says; or with `--stale` there is no backup. With `--output=nagios`: a warning, because a verification is too long ago.',
    inputOutput: 'The state cannot be read, or a part of it.',
  },
  files: [
    ['STATE/backups/*/backup.json', 'What is known of a backup.'],
    ['STATE/backups/*/reports/*.json', 'The report of each verification.'],
  ],
  environment: [['PBMANIFEST_STATE', 'The state directory, where `--state` is not given.']],
  seeAlso: ['pbmanifest(1)', 'pbmanifest-verify(1)'],
}
