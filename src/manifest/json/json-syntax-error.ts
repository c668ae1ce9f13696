/** JSON that cannot be read. The message is a sentence in the words of PostgreSQL's own lexer and parser. */
export class JsonSyntaxError extends Error {
  static endedUnexpectedly(): JsonSyntaxError {
    return new JsonSyntaxError('The input string ended unexpectedly.')
  }
}
