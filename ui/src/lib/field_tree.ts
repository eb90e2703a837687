// The fields of one record as a tree that can be folded: from paths ("user.name", "ModifiedProperties[0].NewValue") or from a raw JSON
// record. Keys come from strangers: nothing is looked up on Object.prototype, depth and number are bounded. Pure.

export interface Field {
  path: string;
  value: string;
  /** What the value is, when the node found something to look for in it. */
  kind?: string;
  /** Its name in OCSF, when the format maps it. */
  ocsf?: string;
}

export interface Branch {
  key: string;
  path: string;
  value?: string;
  kind?: string;
  ocsf?: string;
  children: Branch[];
}

const deepest = 64;

/** "a.b[0].c" -> ["a", "b", "[0]", "c"]; a dot in a key is written "\.". */
export function partsOf(path: string): string[] {
  const out: string[] = [];
  let part = '';
  for (let i = 0; i < path.length; i += 1) {
    const c = path[i];
    if (c === '\\' && i + 1 < path.length) {
      i += 1;
      part += path[i];
    } else if (c === '.') {
      if (part !== '') out.push(part);
      part = '';
    } else if (c === '[') {
      const end = path.indexOf(']', i);
      if (end < 0) {
        part += c;
        continue;
      }
      if (part !== '') out.push(part);
      part = '';
      out.push(path.slice(i, end + 1));
      i = end;
    } else part += c;
  }
  if (part !== '') out.push(part);
  return out.length > deepest ? [...out.slice(0, deepest - 1), out.slice(deepest - 1).join('.')] : out;
}

export function treeOf(fields: readonly Field[]): Branch[] {
  const root: Branch = { key: '', path: '', children: [] };
  const index = new Map<Branch, Map<string, Branch>>([[root, new Map()]]);
  for (const field of fields) {
    let at = root;
    let path = '';
    for (const key of partsOf(field.path)) {
      path += (path !== '' && !key.startsWith('[') ? '.' : '') + key;
      const known = index.get(at);
      let next = known?.get(key);
      if (!next) {
        next = { key, path, children: [] };
        known?.set(key, next);
        index.set(next, new Map());
        at.children.push(next);
      }
      at = next;
    }
    if (at === root) continue;
    if (at.value === undefined) at.value = field.value;
    else {
      const same: Branch = { key: at.key, path: at.path, value: field.value, children: [] };
      if (field.kind !== undefined) same.kind = field.kind;
      if (field.ocsf !== undefined) same.ocsf = field.ocsf;
      at.children.push(same);
      continue;
    }
    if (field.kind !== undefined) at.kind = field.kind;
    if (field.ocsf !== undefined) at.ocsf = field.ocsf;
  }
  return folded(root.children);
}

/** A branch with one branch and no value is one line: "a.b.c". */
function folded(branches: Branch[]): Branch[] {
  return branches.map((b) => {
    let at = b;
    while (at.value === undefined && at.children.length === 1 && at.children[0] && at.children[0].children.length > 0) {
      const only = at.children[0];
      at = { ...only, key: at.key + (only.key.startsWith('[') ? '' : '.') + only.key };
    }
    return { ...at, children: folded(at.children) };
  });
}

/** Those whose path, value or OCSF name holds the words; branches above them stay. */
export function filtered(branches: Branch[], words: string): Branch[] {
  const wanted = words.trim().toLowerCase();
  if (wanted === '') return branches;
  const keep = (b: Branch): Branch | undefined => {
    if (`${b.path}\n${b.value ?? ''}\n${b.ocsf ?? ''}`.toLowerCase().includes(wanted)) return b;
    const children = b.children.map(keep).filter((c): c is Branch => c !== undefined);
    return children.length > 0 ? { ...b, children } : undefined;
  };
  return branches.map(keep).filter((b): b is Branch => b !== undefined);
}

export function countOf(branches: readonly Branch[]): number {
  return branches.reduce((n, b) => n + (b.value === undefined ? 0 : 1) + countOf(b.children), 0);
}
