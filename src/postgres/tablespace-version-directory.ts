/**
 * Names the directory inside a tablespace that holds the files of one PostgreSQL: `PG_18_202506291`.
 *
 * @param major - the major version, 13 or later.
 * @param catalogVersion - as in pg_control.
 * @see src/include/common/relpath.h (`TABLESPACE_VERSION_DIRECTORY`)
 */
export function tablespaceVersionDirectory(major: number, catalogVersion: number): string {
  return `PG_${major}_${catalogVersion}`
}
