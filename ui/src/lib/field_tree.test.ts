import { describe, expect, it } from 'vitest';
import { countOf, filtered, partsOf, treeOf, type Branch } from './field_tree';

const shape = (branches: Branch[], indent = ''): string[] =>
  branches.flatMap((b) => [`${indent}${b.key}${b.value === undefined ? '' : ` = ${b.value}`}`, ...shape(b.children, `${indent}  `)]);

describe('field tree', () => {
  it('reads paths', () => {
    expect(partsOf('a.b[0].c')).toEqual(['a', 'b', '[0]', 'c']);
    expect(partsOf('a\\.b.c')).toEqual(['a.b', 'c']);
    expect(partsOf('a[0')).toEqual(['a[0']);
    expect(partsOf('..')).toEqual([]);
    expect(partsOf('a.'.repeat(500)).length).toBe(64);
  });
  it('keeps order, folds single branches, repeats what stands twice', () => {
    const tree = treeOf([
      { path: 'Operation', value: 'New-InboxRule' },
      { path: 'Parameters[0].Name', value: 'Delete' },
      { path: 'Parameters[0].Value', value: 'True' },
      { path: 'user.identity.name', value: 'bo@town.example', kind: 'email', ocsf: 'actor.user.email_addr' },
      { path: 'user.identity.id', value: '7' },
      { path: 'Operation', value: 'twice' },
    ]);
    expect(shape(tree)).toEqual([
      'Operation = New-InboxRule',
      '  Operation = twice',
      'Parameters[0]',
      '  Name = Delete',
      '  Value = True',
      'user.identity',
      '  name = bo@town.example',
      '  id = 7',
    ]);
    expect(countOf(tree)).toBe(6);
    expect(tree[2]?.children[0]?.ocsf).toBe('actor.user.email_addr');
  });
  it('is not confused by names of strangers', () => {
    const tree = treeOf([
      { path: '__proto__.polluted', value: 'yes' },
      { path: 'constructor', value: '<script>alert(1)</script>' },
      { path: 'toString.x', value: '1' },
    ]);
    expect(countOf(tree)).toBe(3);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
  it('finds by path, value and OCSF name', () => {
    const tree = treeOf([
      { path: 'a.b', value: 'one', ocsf: 'src_endpoint.ip' },
      { path: 'a.c', value: 'two' },
      { path: 'd', value: 'three' },
    ]);
    expect(shape(filtered(tree, 'SRC_endpoint'))).toEqual(['a', '  b = one']);
    expect(shape(filtered(tree, 'three'))).toEqual(['d = three']);
    expect(filtered(tree, 'nowhere')).toEqual([]);
    expect(filtered(tree, '  ')).toBe(tree);
  });
});
