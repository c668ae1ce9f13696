import { execFileSync } from 'node:child_process'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mainFile } from '../cli/pbmanifest.js'
import { copyBackupTo } from '../helpers/copy-backup.js'
import { pgVerifyBackup } from '../helpers/pg-verify-backup.js'
import { realBackup } from '../helpers/real-backups.js'
import { describeWithDebianPostgres } from '../helpers/requires.js'
import { runProgram } from '../helpers/run-program.js'
import { createScratchDirectory, type ScratchDirectory } from '../helpers/scratch-directory.js'

interface Session {
  readonly command: string
  readonly output: string
}

/** The commands of a page, in their order, and what it says that they print. */
function sessionsOf(page: string): Session[] {
  const sessions: { command: string; output: string }[] = []
  for (const line of page.split('\n')) {
    const text = line.startsWith('    ') ? line.slice(4) : ''
    const last = sessions.at(-1)
    if (text.startsWith('$ ')) sessions.push({ command: text.slice(2), output: '' })
    else if (text.startsWith('> ') && last !== undefined) last.command += `\n${text.slice(2)}`
    else if (text !== '' && last !== undefined) last.output += `${text}\n`
  }
  return sessions
}

/** Numbers, and keys, are others each time. */
function normalized(text: string): string {
  return text.replaceAll(/SHA256:[A-Za-z0-9+/]+/g, 'SHA256:K').replaceAll(/[0-9]+(?:\.[0-9]+)?/g, 'N')
}

describeWithDebianPostgres('docs/sign.md', (programs) => {
  let scratch: ScratchDirectory
  let page: string

  beforeAll(async () => {
    scratch = createScratchDirectory()
    page = await readFile(new URL('../../docs/sign.md', import.meta.url), 'utf8')
    const root = join(scratch.path, 'backups')
    await mkdir(root)
    const { directory } = await copyBackupTo(await realBackup(programs), root)
    await rename(directory, join(root, 'monday'))
    await writeFile(
      join(scratch.path, 'pbmanifest'),
      `#!/bin/sh\nexec "${process.execPath}" "${mainFile}" "$@"\n`,
    )
    execFileSync('chmod', ['755', join(scratch.path, 'pbmanifest')])
  })
  afterAll(() => scratch.remove())

  test('prints what its commands print', async () => {
    const sessions = sessionsOf(page)
    expect(sessions.length).toBeGreaterThan(8)
    const script = sessions.map(
      ({ command }) => `${command.replace(/^echo \$\?$/, 'echo $s')}; s=$?\necho ---`,
    )
    const text = script.join('\n').replaceAll('/backups/', `${scratch.path}/backups/`)
    const env = { PATH: `${scratch.path}:${String(process.env['PATH'])}`, FORCE_COLOR: '0' }
    const { stdout } = await runProgram('bash', ['-c', `exec 2>&1\n${text}`], { cwd: scratch.path, env })
    const printed = stdout.replaceAll(`${scratch.path}/backups/`, '/backups/')
    const expected = sessions.map(({ output }) => `${output}---\n`).join('')
    expect(normalized(printed)).toBe(normalized(expected))
  })

  test('is right that a signature in the directory is one file too many for pg_verifybackup', async () => {
    const directory = join(scratch.path, 'backups/monday')
    await writeFile(`${directory}.sig`, '')
    expect(await pgVerifyBackup(programs, [directory])).toMatchObject({ status: 0 })
    await rename(`${directory}.sig`, join(directory, 'backup_manifest.sig'))
    const { status, stderr } = await pgVerifyBackup(programs, [directory])
    await rm(join(directory, 'backup_manifest.sig'))
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining('"backup_manifest.sig" is present on disk but not in the manifest'),
    })
  })
})
