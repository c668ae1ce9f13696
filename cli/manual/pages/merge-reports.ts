import type { Manual } from '../manual.js'

export const mergeReportsManual: Manual = {
  description: `
\`pbmanifest merge-reports\` makes one report of the fragments that \`pbmanifest verify --shard\` has left for all shards of a backup. It is the report that the verification of the whole backup on one machine would have had, but for when and where it was made.
It refuses fragments that are cut or changed, of another backup, manifest, version or set of options, doubled or missing, and names them all.`,
  options: {
    'max-age':
      'An age is a number and a unit: `s`, `min`, `h`, `d` or `w`. For fragments that have the same names every night: those of the last one count as missing.',
    wait: 'Until then, fragments that are not there, or too old, are waited for. One that is damaged is refused at once.',
    output: 'The JSON document follows `verify-report.schema.json`, as that of `pbmanifest verify`.',
  },
  exitStatus: {
    done: 'The backup verifies.',
    problems: 'There are problems with the backup.',
    badInput: 'A fragment is damaged.',
    cannotMerge: 'The fragments are not those of all shards of one verification of one backup.',
    inputOutput: 'A fragment cannot be read, or a report cannot be written.',
    partial: 'No problem was found, but all files are ignored.',
  },
  seeAlso: ['pbmanifest(1)', 'pbmanifest-verify(1)'],
}
