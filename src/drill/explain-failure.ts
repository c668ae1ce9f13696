import type { DrillFailure } from './report.js'

/** So many of the last lines of a log are told. */
const MOST_DETAILS = 20

/** What is not the backup's fault, in the words of the server, and what to do. */
const faultsOfDrill: readonly { readonly words: RegExp; readonly hint?: string }[] = [
  {
    words: /could not (?:access|load|find function .* in) (?:file|library)/,
    hint: 'Install the library for this server, or leave it out of the settings.',
  },
  {
    words: /resource manager with ID \d+ not registered/,
    hint: 'Its WAL needs an extension: use -c shared_preload_libraries=LIBRARY.',
  },
  {
    words:
      /unrecognized configuration parameter|invalid value for parameter|parameter .* cannot be|configuration file .* contains errors/,
    hint: 'Look at the settings that were given with -c.',
  },
  {
    words: /database files are incompatible with server|initialized with|but the server was compiled with/,
    hint: 'The server was built with other sizes of pages or files than that of the backup.',
  },
  {
    words: /No space left on device|Disk quota exceeded/,
    hint: 'Use --scratch=DIRECTORY for another place.',
  },
  {
    words:
      /could not map anonymous shared memory|could not create semaphores|Cannot allocate memory|out of memory/i,
    hint: 'Give less memory with -c, or hold the drill on another machine.',
  },
  {
    words:
      /could not (?:create|bind) .*Unix|could not create lock file|could not create any Unix-domain sockets/,
  },
  {
    words: /execution of the PostgreSQL server is not permitted|must not be run as root|has wrong ownership/,
  },
  { words: /insufficient (?:parameter|connection) settings|lower setting than on the primary/ },
  {
    words:
      /collation .*(?:does not exist|not supported)|database locale is incompatible with operating system/,
  },
]

/** From here on, the server works with the data of the backup. */
const recoveryBegins = /database system (?:was|shutdown was)|starting (?:archive|backup) recovery/

/** The lines that say why. */
const serious = /^(?:FATAL|PANIC|ERROR|LOG: {2}(?:could not|invalid|startup process))/

/**
 * Says why a server did not recover, and which part is to be looked at, by its log: the backup, when the server refused its data; the
 * drill, when it never came so far, or lacks something that no backup has.
 */
export function explainFailure(log: readonly string[]): DrillFailure {
  const details = withoutHints(log).slice(-MOST_DETAILS)
  const fatal = log.filter((line) => /^(?:FATAL|PANIC):/.test(line))
  // What follows the first one, follows from it.
  const reason =
    fatal.find((line) => !/the database system is/.test(line)) ?? log.find((line) => serious.test(line))
  const shown = (reason ?? log.find((line) => line.startsWith('postgres: ')))?.replace(/^[A-Za-z]+: +/, '')
  const ofDrill = faultsOfDrill.find(({ words }) =>
    log.some((line) => serious.test(line) && words.test(line)),
  )
  const hasBegun = log.some((line) => recoveryBegins.test(line))
  if (ofDrill !== undefined || !hasBegun) {
    return {
      part: isControlFile(reason) ? 'backup' : 'drill',
      message:
        shown === undefined ? 'the server ended before it began' : `the server did not start: ${shown}`,
      details,
      ...(ofDrill?.hint !== undefined && { hint: ofDrill.hint }),
    }
  }
  return {
    part: 'backup',
    message:
      shown === undefined ? 'the server ended while it recovered' : `the server could not recover: ${shown}`,
    details,
  }
}

/** What the server recommends is about files that are gone by then, and dangerous elsewhere. */
function withoutHints(log: readonly string[]): string[] {
  let isHint = false
  return log.filter((line) => {
    // What goes on begins with a tab.
    if (!line.startsWith('\t')) isHint = line.startsWith('HINT:')
    return !isHint
  })
}

/** Some files are read before anything else is. */
function isControlFile(reason: string | undefined): boolean {
  return (
    reason !== undefined && /control file|pg_control|PG_VERSION|is not a valid data directory/.test(reason)
  )
}
