/** A file as the body of a request: its bytes as they are. */
export const octets = (file: File): { headers: Record<string, string>; body: never; bodySerializer: (body: unknown) => never } => ({
  headers: { 'content-type': 'application/octet-stream' },
  body: file as never,
  bodySerializer: (body) => body as never,
});
