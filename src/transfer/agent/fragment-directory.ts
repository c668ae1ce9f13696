import { lstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeSystemError, ioError } from '../../files/system-error.js'

const MODE = 0o700

/** Where sessions keep their fragments: a directory of the agent's among the temporary files, which nobody else can enter. */
export class FragmentDirectory {
  readonly path: string

  /** @throws {@link PbManifestError} `IO` */
  constructor() {
    const prefix = join(tmpdir(), 'pbmanifest-agent-')
    try {
      this.path = mkdtempSync(prefix)
    } catch (error) {
      throw ioError(`could not create directory "${prefix}XXXXXX"`, error)
    }
  }

  /**
   * Makes it again when it is gone. An agent runs for months, and what nobody has used for some days is removed from
   * `/tmp` by systemd-tmpfiles and its like.
   *
   * @throws {@link PbManifestError} `IO`, also when somebody else has made it meanwhile
   */
  ensure(): void {
    try {
      mkdirSync(this.path, { mode: MODE })
    } catch (error) {
      if (describeSystemError(error)?.code === 'EEXIST' && this.#isOurs()) return
      throw ioError(`could not create directory "${this.path}"`, error)
    }
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }

  #isOurs(): boolean {
    const found = lstatSync(this.path, { throwIfNoEntry: false })
    return found?.isDirectory() === true && found.uid === process.getuid?.() && (found.mode & 0o077) === 0
  }
}
