import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { pbmanifest } from '../cli/pbmanifest.js'
import { runCommandLine } from '../cli/run-command-line.js'
import { writeSmallBackup } from '../cli/small-backup.js'
import { mustRun, runProgram } from '../helpers/run-program.js'
import { startStore } from '../helpers/stores/object-store.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'
import { packageDirectory } from '../library/example-in.js'

const deploy = join(packageDirectory, 'deploy')

const analyze = '/usr/bin/systemd-analyze'
if (!existsSync(analyze))
  process.stderr.write('\nSKIPPED the units of systemd: systemd-analyze is not installed\n\n')

interface Container {
  readonly name: string
  readonly args: readonly string[]
}

interface JobSpec {
  readonly completions?: number
  readonly template: { readonly spec: { readonly containers: readonly Container[] } }
}

interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec: JobSpec & { readonly jobTemplate?: { readonly spec: JobSpec } }
}

let scratch: ScratchDirectory

beforeEach(() => {
  scratch = createScratchDirectory()
})

afterEach(() => scratch.remove())

function objectsIn(file: string): KubernetesObject[] {
  const documents = parseAllDocuments(readFileSync(join(deploy, 'kubernetes', file), 'utf8'))
  return documents.map((document) => {
    expect([...document.errors, ...document.warnings]).toEqual([])
    return document.toJS() as KubernetesObject
  })
}

const files = readdirSync(join(deploy, 'kubernetes')).filter((name) => name.endsWith('.yaml'))

/** The group of `batch/v1` is `batch`, that of `v1` is `core`. */
function typeOf({ apiVersion, kind }: KubernetesObject): string {
  const module = apiVersion.includes('/') ? apiVersion : `core/${apiVersion}`
  return `import('kubernetes-types/${module}').${kind}`
}

test(
  'the objects for Kubernetes fit its schema, and have no field that is not in it',
  { timeout: 240_000 },
  async () => {
    const objects = files.flatMap(objectsIn)
    expect(objects.map(({ kind }) => kind).toSorted((left, right) => (left < right ? -1 : 1))).toEqual([
      'CronJob',
      'CronJob',
      'Job',
      'Job',
      'Job',
      'PersistentVolumeClaim',
      'PersistentVolumeClaim',
    ])
    // The types are made of the OpenAPI of Kubernetes; and unlike its schemas, the compiler refuses what they do not have.
    const lines = objects.map(
      (object, index) => `export const object${index}: ${typeOf(object)} = ${JSON.stringify(object)}`,
    )
    const job = objects.find(({ kind }) => kind === 'Job')
    const wrong = [
      { ...job, spec: { ...job?.spec, completionsWrong: 8 } },
      { ...job, spec: { ...job?.spec, completions: '8' } },
      { ...job, spec: { ...job?.spec, template: { spec: { containers: [{ image: 'x' }] } } } },
    ]
    for (const [index, object] of wrong.entries()) {
      lines.push('// @ts-expect-error')
      lines.push(
        `export const wrong${index}: import('kubernetes-types/batch/v1').Job = ${JSON.stringify(object)}`,
      )
    }
    symlinkSync(join(packageDirectory, 'node_modules'), join(scratch.path, 'node_modules'))
    writeFileSync(join(scratch.path, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(scratch.path, 'objects.ts'), `${lines.join('\n')}\n`)
    const compiler = join(packageDirectory, 'node_modules/.bin/tsc')
    const options = [
      '--noEmit',
      '--strict',
      '--module',
      'preserve',
      '--moduleDetection',
      'force',
      '--types',
      '',
    ]
    const result = await runProgram(compiler, [...options, 'objects.ts'], { cwd: scratch.path })
    expect(result).toMatchObject({ status: 0, stdout: '' })
  },
)

const jobsIn = (file: string): JobSpec[] => objectsIn(file).map(({ spec }) => spec.jobTemplate?.spec ?? spec)

const argsOf = (spec: JobSpec | undefined): readonly string[] => spec?.template.spec.containers[0]?.args ?? []

test('every night the same is run as by hand, but that fragments of last night do not count', () => {
  const [verify, merge] = jobsIn('verify-job.yaml')
  const [nightlyVerify, nightlyMerge] = jobsIn('verify-cronjob.yaml')
  expect(nightlyVerify).toEqual(verify)
  expect(argsOf(nightlyMerge).filter((arg) => arg !== '--max-age=12h')).toEqual(argsOf(merge))
  expect(argsOf(nightlyMerge)).toContain('--max-age=12h')
})

test(
  'what the jobs run verifies a backup in shards, and merges their reports',
  { timeout: 240_000 },
  async () => {
    const [verify, merge] = jobsIn('verify-cronjob.yaml')
    const backup = await writeSmallBackup(scratch.path)
    await mkdir(join(scratch.path, 'reports'))
    const here = (arg: string): string =>
      arg.replace('/backups/monday', backup).replace('/reports/', `${scratch.path}/reports/`)
    for (let index = 0; index < (verify?.completions ?? 0); index++) {
      const number = String(index)
      const args = argsOf(verify).map((arg) => here(arg.replace('$(JOB_COMPLETION_INDEX)', number)))
      const result = await pbmanifest([...args, '--no-parse-wal'], { JOB_COMPLETION_INDEX: number })
      expect(result).toMatchObject({ status: 0 })
    }
    expect(await pbmanifest(argsOf(merge).map(here))).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('backup successfully verified'),
    })
    expect(existsSync(join(scratch.path, 'reports/monday.json'))).toBe(true)
  },
)

test('a backup in an object store is verified by the same job, without a volume of backups', async () => {
  const [ofDirectory, merge] = jobsIn('verify-job.yaml')
  const [ofStore] = jobsIn('verify-store-job.yaml')
  expect(argsOf(ofStore)).toEqual([...argsOf(ofDirectory).slice(0, -1), 's3://backups/monday'])
  expect(ofStore?.completions).toBe(ofDirectory?.completions)
  const store = await startStore('fauxqs')
  try {
    await store.putDirectory(await writeSmallBackup(scratch.path), 'monday/')
    await mkdir(join(scratch.path, 'reports'))
    const here = (arg: string): string => arg.replace('/reports/', `${scratch.path}/reports/`)
    for (let index = 0; index < (ofStore?.completions ?? 0); index++) {
      const number = String(index)
      const args = argsOf(ofStore).map((arg) => here(arg.replace('$(JOB_COMPLETION_INDEX)', number)))
      const env = { ...store.env, JOB_COMPLETION_INDEX: number }
      expect(await runCommandLine([...args, '--no-parse-wal'], env)).toMatchObject({ status: 0, stderr: '' })
    }
    expect(await runCommandLine(argsOf(merge).map(here))).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('backup successfully verified'),
    })
  } finally {
    await store.close()
  }
})

test('the image needs no shell and no root to run, and runs what is in the package', () => {
  const text = readFileSync(join(deploy, 'Containerfile'), 'utf8')
  const last = text.slice(text.lastIndexOf('\nFROM '))
  expect(last).toMatch(/^USER [1-9][0-9]*:[1-9][0-9]*$/m)
  const [, program = ''] =
    /^ENTRYPOINT \["node", "\/opt\/pbmanifest\/node_modules\/pbmanifest\/(.+)"\]$/m.exec(last) ?? []
  expect(existsSync(join(packageDirectory, program))).toBe(true)
})

describe.runIf(existsSync(analyze))('the units of systemd', () => {
  test('are understood, and leave the service little that it could do', async () => {
    const names = readdirSync(join(deploy, 'systemd'))
    expect(names).toHaveLength(2)
    const units = names.map((name) => join(scratch.path, name))
    for (const name of names) {
      const text = readFileSync(join(deploy, 'systemd', name), 'utf8')
      // Neither the program nor its manual is installed here.
      const here = text.replace('/usr/bin/pbmanifest', process.execPath).replace(/^Documentation=.*\n/m, '')
      writeFileSync(join(scratch.path, name), here)
    }
    const verified = await mustRun(analyze, ['verify', '--recursive-errors=no', ...units])
    expect(verified.stderr).toBe('')
    const service = units.find((unit) => unit.endsWith('.service')) ?? ''
    await mustRun(analyze, ['security', '--offline=yes', '--threshold=20', service])
  })
})
