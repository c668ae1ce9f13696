import { describe, expect, test } from 'vitest'
import { controlFileLayouts } from '../../src/postgres/control-file-layout.js'
import {
  findVersion,
  findVersionOfControlFile,
  findWalFormat,
  nearestVersion,
  newestVersion,
  oldestVersion,
  postgresVersions,
} from '../../src/postgres/versions.js'

describe('postgresVersions', () => {
  test('has every major version from the oldest to the newest', () => {
    const majors = postgresVersions.map(({ major }) => major)
    expect(majors).toEqual(majors.map((_, index) => oldestVersion.major + index))
    expect(majors.at(-1)).toBe(newestVersion.major)
  })

  test('has a layout for every control file, and no layout that no version has', () => {
    const named = new Set(postgresVersions.flatMap(({ controlVersions }) => controlVersions))
    expect(new Set(controlFileLayouts.keys())).toEqual(named)
  })

  test('has a magic number once', () => {
    const magics = postgresVersions.flatMap(({ walFormats }) => walFormats.map(({ pageMagic }) => pageMagic))
    expect(new Set(magics).size).toBe(magics.length)
  })
})

test.each(postgresVersions)('PostgreSQL $major is found by what its files say', (version) => {
  expect(findVersion(version.major)).toBe(version)
  expect(nearestVersion(version.major)).toBe(version)
  for (const format of version.walFormats) expect(findWalFormat(format.pageMagic)).toBe(format)
  for (const controlVersion of version.controlVersions) {
    const found = findVersionOfControlFile(controlVersion)
    expect(found?.controlVersions).toContain(controlVersion)
    expect(found?.hasSystemIdentifierInManifest).toBe(version.hasSystemIdentifierInManifest)
  }
})

test('a version that is not known has no row, but a nearest one', () => {
  expect(findVersion(12)).toBeUndefined()
  expect(findVersion(newestVersion.major + 1)).toBeUndefined()
  expect(nearestVersion(12)).toBe(oldestVersion)
  expect(nearestVersion(99)).toBe(newestVersion)
  expect(findVersionOfControlFile(1)).toBeUndefined()
  expect(findWalFormat(0)).toBeUndefined()
})
