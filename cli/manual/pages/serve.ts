import type { Manual } from '../manual.js'

export const serveManual: Manual = {
  description: `
\`pbmanifest serve\` runs beside a PostgreSQL server, as the user that owns its data directory. It reads the files there, starts and stops backup mode in the server over SQL, and speaks the PostgreSQL protocol: \`pbmanifest backup --agent\`, \`psql\` and every driver can take parallel base backups from it. The server is not changed.
It listens on a Unix socket, for whoever may open it, on the network, for users with SCRAM-SHA-256 over TLS, or on both. Nobody gets a file that is not part of a base backup.
SIGTERM and SIGINT end it: running backups have the time of \`--drain-timeout\` for their end. A second signal ends it at once. At SIGHUP it reads users, certificate and key again; if one of them is not as it should be, all stay as they were.`,
  options: {
    server: 'The role needs the grants of `docs/backup-role.sql`.',
    'socket-mode': 'Whoever may connect can read the whole cluster.',
    'users-file':
      "What stands behind the colon is what `pg_authid.rolpassword` has. The file, like the key, must be readable by its owner only, or root's and readable by a group.",
    insecure: 'Then whoever reaches the port has the cluster, or sees what goes over it.',
    'max-connections': 'Each that takes part in a backup is a thread of about 15 MB.',
    'idle-timeout': 'A client that is part of a backup may be idle as long as the others are not.',
    'log-level': 'One JSON object a line.',
  },
  exitStatus: {
    done: 'Stopped by a signal, after running backups had the time of `--drain-timeout`.',
    inputOutput: 'A file could not be read, or an address not be listened on.',
    server: 'The server runs on another data directory.',
    interrupted: 'Ended at once by a second signal, SIGINT.',
    terminated: 'Ended at once by a second signal, SIGTERM.',
  },
  files: [
    ['.s.PGSQL.5433', 'The Unix socket, in the directory of `--socket-dir`.'],
    ['~/.pgpass', 'The password for the database server.'],
  ],
  environment: [
    [
      'PGHOST, PGPORT, PGUSER, PGPASSWORD ...',
      'How the database server is reached, as far as `--server` does not say.',
    ],
  ],
  seeAlso: ['pbmanifest(1)', 'pbmanifest-backup(1)', 'systemd.service(5)'],
}
