/** The last line of a fragment: whose it is, and that it is complete. */
export interface FragmentSeal {
  readonly backupId: string
  readonly worker: number
  /** How many files the fragment records. */
  readonly files: number
  /** The sum of their sizes. */
  readonly bytes: number
  /** SHA-256 of all lines before the seal, hexadecimal. */
  readonly fragmentChecksum: string
}

/** What was written, when it is sealed. */
export interface SealedFragment {
  readonly files: number
  readonly bytes: number
  /** SHA-256 of the fragment without its seal, hexadecimal. */
  readonly fragmentChecksum: string
}

/** The seal as JSON has it. @see schemas/fragment-seal.schema.json */
export interface FragmentSealJson {
  readonly 'Fragment-Version': 1
  readonly 'Backup-Id': string
  readonly Worker: number
  readonly Files: number
  readonly Bytes: number
  readonly 'Fragment-Checksum': string
}

/** The seal's line, without its end. Its reader is elsewhere, since it loads the schemas, which a writer can do without. */
export function formatFragmentSeal(seal: FragmentSeal): string {
  return (
    `{ "Fragment-Version": 1, "Backup-Id": "${seal.backupId}", "Worker": ${seal.worker}, "Files": ${seal.files}, ` +
    `"Bytes": ${seal.bytes}, "Fragment-Checksum": "${seal.fragmentChecksum}" }`
  )
}

/** What the JSON of a seal says. */
export function sealFromJson(json: FragmentSealJson): FragmentSeal {
  return {
    backupId: json['Backup-Id'],
    worker: json.Worker,
    files: json.Files,
    bytes: json.Bytes,
    fragmentChecksum: json['Fragment-Checksum'],
  }
}
