import type { VerifyOptions } from '../../../src/verify/options.js'
import { readBackupFormat, readCount, readOptional } from '../../option-values.js'
import { readRate } from '../../read-rate.js'
import { addressingStyle, endpointUrl } from '../../shared-options.js'
import {
  requireAllowedSigners,
  requireQuietOrProgress,
  requireQuietOrVerbose,
  usageError,
} from '../../usage-error.js'
import { withoutUndefined } from '../../without-undefined.js'
import type { OptionValues } from '../command.js'

/** The options of `verify`, by their headings. */
export const verifyOptions = {
  'What to verify:': {
    'manifest-path': {
      alias: 'm',
      type: 'string',
      value: 'PATH',
      kind: 'file',
      describe: 'manifest to use (default: backup_manifest in DIRECTORY)',
    },
    'wal-path': {
      alias: ['w', 'wal-directory'],
      type: 'string',
      value: 'PATH',
      kind: 'path',
      describe: 'directory or tar archive with the WAL (default: pg_wal in DIRECTORY)',
    },
    'partial-wal': {
      type: 'boolean',
      describe: 'take NAME.partial for a WAL segment that is missing',
    },
    ignore: {
      alias: 'i',
      type: 'string',
      array: true,
      value: 'RELATIVE_PATH',
      kind: 'text',
      describe: 'relative path, or glob, to ignore with all below it',
    },
    format: {
      alias: 'F',
      type: 'string',
      value: 'p|t',
      kind: 'text',
      suggestions: ['plain', 'tar'],
      describe: 'backup format: plain or tar (default: as it is found)',
    },
    archive: {
      type: 'string',
      value: 'NAME',
      kind: 'text',
      suggestions: ['base', 'pg_wal'],
      describe: 'of an archive on standard input: base (default), pg_wal or an OID',
    },
    shard: {
      type: 'string',
      value: 'I/N',
      kind: 'text',
      describe: 'verify the I-th of N shards of the backup; merge-reports makes the report of all',
    },
    'report-fragment': {
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'where what was found in the shard goes',
    },
    'fetch-command': {
      type: 'string',
      value: 'COMMAND',
      kind: 'text',
      describe: 'shell command that writes the part of a tar backup that is named %f to its output',
    },
    // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- isolatedDeclarations has to see the type
    'endpoint-url': endpointUrl as typeof endpointUrl,
    // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- the same
    'addressing-style': addressingStyle as typeof addressingStyle,
    checksums: {
      choices: ['read', 'stored'],
      type: 'string',
      value: 'read|stored',
      describe: 'of s3://: read all files, or compare the checksums that the store keeps (default: read)',
    },
    chain: {
      type: 'boolean',
      describe: 'verify a full backup and the incremental ones that build on it, in this order',
    },
    'page-checksums': {
      choices: ['auto', 'on', 'off'],
      valueWhenBare: 'on',
      type: 'string',
      value: 'auto|on|off',
      describe: 'check the checksums of data pages (default: auto, if the cluster has them)',
    },
  },
  'Who must have signed it:': {
    'allowed-signers': {
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'allowed signers, as for ssh-keygen: the manifest, or report, must be signed',
    },
    'signer-identity': {
      alias: 'I',
      type: 'string',
      value: 'NAME',
      kind: 'text',
      describe: 'who of the allowed signers (default: any)',
    },
    signature: {
      type: 'string',
      value: 'FILE',
      kind: 'file',
      describe: 'the signature (default: DIRECTORY.sig, or backup_manifest.sig in DIRECTORY)',
    },
  },
  'How:': {
    'skip-checksums': { alias: 's', type: 'boolean', describe: 'do not read the files' },
    'no-parse-wal': { alias: 'n', type: 'boolean', describe: 'do not look at the WAL' },
    'exit-on-error': { alias: 'e', type: 'boolean', describe: 'stop at the first problem' },
    'max-rate': {
      alias: 'r',
      type: 'string',
      value: 'RATE',
      kind: 'text',
      describe: 'how much is read in a second: kB, or with the suffix k or M',
    },
    'fetch-timeout': {
      type: 'string',
      value: 'SECONDS',
      kind: 'number',
      describe: 'how long the fetch command may be silent (default: 300)',
    },
    jobs: {
      alias: 'j',
      type: 'string',
      value: 'N',
      kind: 'number',
      describe: 'threads that read files and WAL (default: one per CPU; up to 8 where storage answers late)',
    },
  },
  'What to keep:': {
    state: {
      type: 'string',
      value: 'DIR',
      kind: 'directory',
      describe: 'keep the report there, for status (default: PBMANIFEST_STATE, if that is set)',
    },
    'max-age': {
      type: 'string',
      value: 'AGE',
      kind: 'text',
      describe: 'do not read what is unchanged since it was read, unless that is so long ago: 30d',
    },
    subset: {
      type: 'string',
      value: 'PART',
      kind: 'text',
      describe: 'read only a part of the files, each time the next: 5%, 200G, or 3/30',
    },
  },
  'Output:': {
    progress: { alias: 'P', type: 'boolean', describe: 'show progress on standard error' },
    quiet: { alias: 'q', type: 'boolean', describe: 'print nothing but errors' },
    verbose: { alias: 'v', type: 'boolean', describe: 'say each step, and what was verified and how' },
    output: {
      choices: ['text', 'json', 'nagios'],
      default: 'text',
      type: 'string',
      value: 'text|json|nagios',
      describe: 'on standard output: text, a JSON document, or the line of a Nagios plugin',
    },
    report: {
      type: 'string',
      array: true,
      value: 'KIND=FILE',
      kind: 'text',
      suggestions: ['html=', 'json=', 'junit=', 'prometheus='],
      describe: 'write the report into FILE, too, as KIND: html, json, junit, prometheus',
    },
  },
} as const

/** What they are after a command line was read. */
export type VerifyValues = OptionValues<typeof verifyOptions>

/**
 * Those that say what to verify, and how.
 *
 * @throws {@link PbManifestError} `USAGE` for those that contradict each other
 */
export function readVerifyOptions(values: VerifyValues): VerifyOptions {
  requireQuietOrProgress(values)
  requireQuietOrVerbose(values)
  requireAllowedSigners(values)
  if (values['report-fragment'] !== undefined && values.shard === undefined) {
    throw usageError('--report-fragment is for use with --shard')
  }
  return withoutUndefined({
    format: readBackupFormat(values.format, 'backup'),
    manifestPath: values['manifest-path'],
    allowedSigners: values['allowed-signers'],
    signerIdentity: values['signer-identity'],
    signaturePath: values.signature,
    walDirectory: values['wal-path'],
    partialWal: values['partial-wal'],
    ignore: values.ignore,
    exitOnError: values['exit-on-error'],
    skipChecksums: values['skip-checksums'],
    pageChecksums: values['page-checksums'],
    noParseWal: values['no-parse-wal'],
    maxRate: values['max-rate'] === undefined ? undefined : readRate(values['max-rate']),
    jobs: readOptional(readCount, '-j/--jobs', values.jobs),
  } satisfies { [Name in keyof VerifyOptions]?: VerifyOptions[Name] | undefined })
}
