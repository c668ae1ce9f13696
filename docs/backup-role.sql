-- The role that takes backups with pbmanifest: no superuser, and no right to read any table.
--
-- Run it as a superuser, on the primary, in the database that the backups connect to (privileges on functions belong to
-- one database), for example:
--
--   psql -d postgres -f backup-role.sql
--
-- PostgreSQL 13 to 19. Then give the role a password, or let it in by pg_hba.conf: lines for the database, and, for
-- --wal-method=stream, for "replication".

CREATE ROLE pbmanifest LOGIN REPLICATION;

-- To see where the data directory is, and so which tablespaces are inside it.
GRANT pg_read_all_settings TO pbmanifest;

-- To list and read the files of the data directory, and nothing outside it.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO pbmanifest;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO pbmanifest;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO pbmanifest;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_waldir() TO pbmanifest;

-- To start and stop backup mode, whose functions have other names since PostgreSQL 15.
DO $$
BEGIN
  IF current_setting('server_version_num')::integer >= 150000 THEN
    GRANT EXECUTE ON FUNCTION pg_catalog.pg_backup_start(text, boolean) TO pbmanifest;
    GRANT EXECUTE ON FUNCTION pg_catalog.pg_backup_stop(boolean) TO pbmanifest;
  ELSE
    GRANT EXECUTE ON FUNCTION pg_catalog.pg_start_backup(text, boolean, boolean) TO pbmanifest;
    GRANT EXECUTE ON FUNCTION pg_catalog.pg_stop_backup(boolean, boolean) TO pbmanifest;
  END IF;
END
$$;
