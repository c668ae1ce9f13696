import * as fc from 'fast-check'
import { decodePathname, isUtf8Pathname, type Pathname } from '../../src/files/pathname.js'
import { checksumAlgorithms, checksumLength } from '../../src/manifest/checksum/checksum-algorithm.js'
import { formatLastModified } from '../../src/manifest/manifest-parts.js'
import type { BackupManifest, FileChecksum, ManifestFile, WalRange } from '../../src/manifest/model.js'
import { unsafePathnameReason } from '../../src/files/safe-pathname.js'

/** Bytes that are hard on JSON and on UTF-8 decoders, and others. */
const oddByte = fc.oneof(
  fc.constantFrom(0x22, 0x5c, 0x2f, 0x0a, 0x0d, 0x09, 0x7f, 0x01, 0x1f, 0x2e, 0xc0, 0xed, 0xa0, 0xf4, 0xff),
  fc.integer({ min: 1, max: 255 }),
)

const component = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map((text) => Buffer.from(text)),
  fc.array(oddByte, { minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  fc.nat(99_999).map((number) => Buffer.from(String(number))),
)

/** Any pathname that a file of a backup can have. */
export const arbitraryPathname: fc.Arbitrary<Pathname> = fc
  .array(component, { minLength: 1, maxLength: 4 })
  .map((parts) => decodePathname(Buffer.concat(parts.flatMap((part) => [Buffer.from('/'), part]).slice(1))))
  .filter((pathname) => unsafePathnameReason(pathname) === undefined)

const arbitraryChecksum: fc.Arbitrary<FileChecksum | undefined> = fc
  .constantFrom(...checksumAlgorithms)
  .chain((algorithm) => {
    if (algorithm === 'NONE') return fc.constant(undefined)
    const length = checksumLength(algorithm)
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((bytes) => ({ algorithm, hex: Buffer.from(bytes).toString('hex') }))
  })

/** Any file as a server would list it. */
const arbitraryFile: fc.Arbitrary<ManifestFile> = fc
  .record({
    pathname: arbitraryPathname,
    size: fc.oneof(fc.nat(), fc.maxSafeNat()),
    lastModified: fc
      .date({ min: new Date('1970-01-01Z'), max: new Date('9999-12-31Z'), noInvalidDate: true })
      .map(formatLastModified),
    checksum: arbitraryChecksum,
    isForced: fc.boolean(),
  })
  .map(({ isForced, ...file }) => ({ ...file, isPathEncoded: isForced || !isUtf8Pathname(file.pathname) }))

/** Any files of one backup: no pathname twice. */
export const arbitraryFiles: fc.Arbitrary<ManifestFile[]> = fc.uniqueArray(arbitraryFile, {
  selector: (file) => file.pathname,
  maxLength: 20,
})

const lsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })

const arbitraryWalRange: fc.Arbitrary<WalRange> = fc.record({
  timeline: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  startLsn: lsn,
  endLsn: lsn,
})

/** Any manifest that can be written, of either version. */
export const arbitraryManifest: fc.Arbitrary<Omit<BackupManifest, 'checksum'>> = fc
  .record({
    systemIdentifier: fc.option(lsn, { nil: undefined }),
    files: arbitraryFiles,
    walRanges: fc.array(arbitraryWalRange, { maxLength: 3 }),
  })
  .map((parts) => ({ ...parts, version: parts.systemIdentifier === undefined ? 1 : 2 }))
