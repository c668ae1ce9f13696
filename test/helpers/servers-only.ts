// Whatever starts a server, our own program, a browser or another program that is more than a tool of the system imports this.
// A test that imports it, itself or by way of others, belongs to the project `servers` (`test-projects.ts`). One that gets here
// unseen, by an import that is worked out, fails.
if (process.env['PBMANIFEST_TEST_PROJECT'] === 'unit') {
  throw new Error(
    'a unit test may not start a program: import "test/helpers/servers-only.js" to make it one of the project "servers"',
  )
}
