import { basename, dirname, join, relative } from 'node:path'
import { PbManifestError } from '../errors.js'
import type { Pathname } from '../files/pathname.js'
import type { ManifestSource } from '../manifest/read-manifest.js'
import type { SignatureResult } from '../signature/check-signature.js'
import {
  manifestNamespace,
  realPath,
  signatureOfFile,
  signaturePlaces,
} from '../signature/signature-place.js'
import type { VerifyOptions } from './options.js'

/** The signature that a manifest has to have. */
export interface DemandedSignature {
  /** The files of the backup that it is in. */
  readonly pathnames: readonly Pathname[]
  /** The same manifest; what is read of it is what the signature has to be of. */
  watch(source: ManifestSource): ManifestSource
  /** To be called once, when the manifest has been read. */
  conclude(): SignatureResult
}

/**
 * Reads who may sign, and the signature.
 *
 * @param directory - absent for an archive that comes in alone
 * @returns `undefined` when none is demanded
 * @throws {@link PbManifestError} `USAGE`; `IO` or `BAD_FILE` for the file of allowed signers
 */
export async function demandSignature(
  options: VerifyOptions,
  directory?: string,
): Promise<DemandedSignature | undefined> {
  const { allowedSigners, signerIdentity, signaturePath, manifestPath } = options
  if (allowedSigners === undefined) {
    if (signerIdentity === undefined && signaturePath === undefined) return undefined
    throw new PbManifestError('USAGE', 'a signature is checked only with a file of allowed signers')
  }
  // Most verifications have no use for it.
  const { SignatureCheck } = await import('../signature/check-signature.js')
  const places =
    manifestPath !== undefined || directory === undefined
      ? [signatureOfFile(manifestPath ?? '')]
      : signaturePlaces(directory)
  const demand = {
    allowedSigners,
    ...(signerIdentity !== undefined && { signerIdentity }),
    ...(signaturePath !== undefined && { signaturePath }),
  }
  const check = new SignatureCheck(demand, 'backup manifest', manifestNamespace, places)
  return {
    pathnames: pathnamesIn(directory, check.path),
    watch: (source) => ({
      ...source,
      *chunks() {
        for (const chunk of source.chunks()) {
          check.update(chunk)
          yield chunk
        }
      },
    }),
    conclude: () => check.conclude(),
  }
}

/** Where a file is in a directory, if it is: not where it leads to when it is a link. */
function pathnamesIn(directory: string | undefined, path: string | undefined): Pathname[] {
  if (directory === undefined || path === undefined) return []
  const place = join(realPath(dirname(path)), basename(path))
  const pathname = relative(realPath(directory), place)
  return pathname.startsWith('../') ? [] : [pathname]
}
