import { realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** What a signature of a backup manifest is for, and that of a report. None can be taken for the other. */
export const manifestNamespace = 'backup_manifest@pbmanifest'
export const reportNamespace = 'report@pbmanifest'

/** A signature made by `ssh-keygen -Y sign` in the backup directory has this name. */
const signatureInBackup = 'backup_manifest.sig'

/** Where the signature of a file is, as `ssh-keygen -Y sign` names it. */
export function signatureOfFile(path: string): string {
  return `${path}.sig`
}

/**
 * Where the signature of a backup is: beside its directory, not in it, where every verifier would take it for a file too
 * many. Beside the directory itself, when that is reached by a link: `latest` is another one tomorrow.
 */
export function signatureOfBackup(directory: string): string {
  return `${realPath(directory)}.sig`
}

/** Where to look for the signature of a backup. */
export function signaturePlaces(directory: string): readonly string[] {
  return [signatureOfBackup(directory), join(directory, signatureInBackup)]
}

/** The path without links in it, as far as there is something. */
export function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}
