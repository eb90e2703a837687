// Server-sent events out of a byte stream: text arrives in any pieces, also cut in the middle of a letter or a line.

export interface Event {
  id: string;
  kind: string;
  data: string;
}

export class EventReader {
  #decoder = new TextDecoder();
  #rest = '';
  #kind = '';
  #data: string[] = [];
  /** The id of the last event that came whole; a new connection asks for what came after it. */
  last = '';
  #id = '';
  #longest: number;

  constructor(longest = 1 << 20) {
    this.#longest = longest;
  }

  push(bytes: Uint8Array): Event[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    const out: Event[] = [];
    for (;;) {
      const end = this.#rest.search(/\r\n|\n|\r/);
      // A lone \r at the very end may be half of \r\n.
      if (end < 0 || (end === this.#rest.length - 1 && this.#rest[end] === '\r')) break;
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + (this.#rest.startsWith('\r\n', end) ? 2 : 1));
      const event = this.#line(line);
      if (event) out.push(event);
    }
    if (this.#rest.length > this.#longest) this.#rest = '';
    return out;
  }

  #line(line: string): Event | undefined {
    if (line === '') {
      const had = this.#data.length > 0;
      const event: Event = { id: this.#id, kind: this.#kind || 'message', data: this.#data.join('\n') };
      this.#kind = '';
      this.#data = [];
      this.last = this.#id;
      return had ? event : undefined;
    }
    if (line.startsWith(':')) return undefined;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#kind = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    return undefined;
  }
}
