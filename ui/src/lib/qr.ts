// QR codes (ISO/IEC 18004, model 2) for short texts: bytes, error correction M, versions 1 to 15. Enough for an address of an app; a library
// would be larger than what it is used for here.

/** Of versions 1 to 15 at level M: code words of error correction a block, blocks of the first size, data words in them, blocks one word longer. */
const blocks: readonly (readonly [number, number, number, number])[] = [
  [10, 1, 16, 0], [16, 1, 28, 0], [26, 1, 44, 0], [18, 2, 32, 0], [24, 2, 43, 0], [16, 4, 27, 0], [18, 4, 31, 0], [22, 2, 38, 2], [22, 3, 36, 2], [26, 4, 43, 1], [30, 1, 50, 4], [22, 6, 36, 2], [22, 8, 37, 1], [24, 4, 40, 5], [24, 5, 41, 5],
];

const exp = new Uint8Array(510);
const log = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; ++i) {
  exp[i] = exp[i + 255] = x;
  log[x] = i;
  x = (x << 1) ^ (x & 128 ? 0x11d : 0);
}
const times = (a: number, b: number): number => (a && b ? exp[log[a]! + log[b]!]! : 0);

function correction(data: Uint8Array, length: number): Uint8Array {
  let divisor = new Uint8Array([1]);
  for (let i = 0; i < length; ++i) {
    const next = new Uint8Array(divisor.length + 1);
    divisor.forEach((value, at) => {
      next[at]! ^= value;
      next[at + 1]! ^= times(value, exp[i]!);
    });
    divisor = next;
  }
  const rest = new Uint8Array(data.length + length);
  rest.set(data);
  for (let i = 0; i < data.length; ++i) {
    const factor = rest[i]!;
    if (factor) divisor.forEach((value, at) => (rest[i + at]! ^= times(value, factor)));
  }
  return rest.slice(data.length);
}

function words(text: Uint8Array, version: number): Uint8Array {
  const [check, short, size, long] = blocks[version - 1]!;
  const room = short * size + long * (size + 1);
  const bits: number[] = [];
  const put = (value: number, count: number): void => {
    for (let i = count - 1; i >= 0; --i) bits.push((value >> i) & 1);
  };
  put(4, 4);
  put(text.length, version < 10 ? 8 : 16);
  text.forEach((byte) => put(byte, 8));
  put(0, Math.min(4, room * 8 - bits.length));
  put(0, (8 - (bits.length % 8)) % 8);
  const data = new Uint8Array(room);
  for (let i = 0; i < bits.length; ++i) data[i >> 3]! |= bits[i]! << (7 - (i & 7));
  for (let i = bits.length / 8, pad = 0xec; i < room; ++i, pad ^= 0xec ^ 0x11) data[i] = pad;

  const parts: { data: Uint8Array; check: Uint8Array }[] = [];
  for (let i = 0, from = 0; i < short + long; ++i) {
    const part = data.slice(from, (from += size + (i < short ? 0 : 1)));
    parts.push({ data: part, check: correction(part, check) });
  }
  const out: number[] = [];
  for (let i = 0; i <= size; ++i) for (const part of parts) if (i < part.data.length) out.push(part.data[i]!);
  for (let i = 0; i < check; ++i) for (const part of parts) out.push(part.check[i]!);
  return Uint8Array.from(out);
}

/** The bits of a code with its own check bits behind them, as format and version are written. */
function guarded(value: number, divisor: number, length: number): number {
  let rest = value;
  for (let i = 0; i < length; ++i) rest = (rest << 1) ^ ((rest >> (length - 1)) * divisor);
  return (value << length) | rest;
}

const masks: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** How hard a picture is to read, by the rules of the standard. */
function penalty(at: (x: number, y: number) => boolean, size: number): number {
  let points = 0;
  let dark = 0;
  for (const turned of [false, true])
    for (let y = 0; y < size; ++y) {
      let line = '';
      for (let x = 0; x < size; ++x) line += (turned ? at(y, x) : at(x, y)) ? '1' : '0';
      for (const run of line.matchAll(/0{5,}|1{5,}/g)) points += run[0].length - 2;
      for (let i = 0; i + 11 <= size; ++i) {
        const seen = line.slice(i, i + 11);
        if (seen === '10111010000' || seen === '00001011101') points += 40;
      }
      if (!turned) dark += [...line].filter((bit) => bit === '1').length;
    }
  for (let y = 0; y + 1 < size; ++y) for (let x = 0; x + 1 < size; ++x) if (at(x, y) === at(x + 1, y) && at(x, y) === at(x, y + 1) && at(x, y) === at(x + 1, y + 1)) points += 3;
  return points + 10 * Math.floor(Math.abs((dark * 20) / (size * size) - 10));
}

/** The dark squares, row by row; undefined when the text is too long. */
export function qr(text: string): boolean[][] | undefined {
  const bytes = new TextEncoder().encode(text);
  const version = blocks.findIndex(([, short, size, long], i) => short * size + long * (size + 1) >= bytes.length + (i < 9 ? 2 : 3)) + 1;
  if (version === 0) return undefined;
  const size = 17 + 4 * version;
  const squares = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
  const fixed = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
  const set = (x: number, y: number, dark: boolean): void => {
    if (x < 0 || y < 0 || x >= size || y >= size) return;
    squares[y]![x] = dark;
    fixed[y]![x] = true;
  };
  for (let i = 0; i < size; ++i) {
    set(6, i, i % 2 === 0);
    set(i, 6, i % 2 === 0);
  }
  for (const [cx, cy] of [[3, 3], [size - 4, 3], [3, size - 4]] as const)
    for (let dy = -4; dy <= 4; ++dy)
      for (let dx = -4; dx <= 4; ++dx) {
        const ring = Math.max(Math.abs(dx), Math.abs(dy));
        set(cx + dx, cy + dy, ring !== 2 && ring !== 4);
      }
  if (version > 1) {
    const count = Math.floor(version / 7) + 2;
    const step = Math.ceil((version * 4 + 4) / (count * 2 - 2)) * 2;
    const places = [6, ...Array.from({ length: count - 1 }, (_, i) => size - 7 - step * (count - 2 - i))];
    for (const [i, cx] of places.entries())
      for (const [j, cy] of places.entries()) {
        if ((i === 0 && j === 0) || (i === 0 && j === count - 1) || (i === count - 1 && j === 0)) continue;
        for (let dy = -2; dy <= 2; ++dy) for (let dx = -2; dx <= 2; ++dx) set(cx + dx, cy + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
      }
  }
  if (version >= 7) {
    const bits = guarded(version, 0x1f25, 12);
    for (let i = 0; i < 18; ++i) {
      const [a, b] = [size - 11 + (i % 3), Math.floor(i / 3)];
      set(a, b, ((bits >> i) & 1) === 1);
      set(b, a, ((bits >> i) & 1) === 1);
    }
  }
  const format = (mask: number): void => {
    // Level M is 00.
    const bits = guarded(mask, 0x537, 10) ^ 0x5412;
    const bit = (i: number): boolean => ((bits >> i) & 1) === 1;
    for (let i = 0; i <= 5; ++i) set(8, i, bit(i));
    set(8, 7, bit(6));
    set(8, 8, bit(7));
    set(7, 8, bit(8));
    for (let i = 9; i < 15; ++i) set(14 - i, 8, bit(i));
    for (let i = 0; i < 8; ++i) set(size - 1 - i, 8, bit(i));
    for (let i = 8; i < 15; ++i) set(8, size - 15 + i, bit(i));
    set(8, size - 8, true);
  };
  format(0);
  const data = words(bytes, version);
  let next = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let row = 0; row < size; ++row)
      for (const x of [right, right - 1]) {
        const y = ((right + 1) & 2) === 0 ? size - 1 - row : row;
        if (fixed[y]![x]) continue;
        if (next < data.length * 8) squares[y]![x] = ((data[next >> 3]! >> (7 - (next & 7))) & 1) === 1;
        ++next;
      }
  }
  const masked = (mask: number) => (x: number, y: number): boolean => squares[y]![x]! !== (!fixed[y]![x]! && masks[mask]!(x, y));
  let best = 0;
  let least = Infinity;
  for (let mask = 0; mask < 8; ++mask) {
    format(mask);
    const points = penalty(masked(mask), size);
    if (points < least) [best, least] = [mask, points];
  }
  format(best);
  const at = masked(best);
  return squares.map((row, y) => row.map((_, x) => at(x, y)));
}
