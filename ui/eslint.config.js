import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';

import svelteConfig from './svelte.config.js';

export default ts.config(
  { ignores: ['dist/', 'src/generated/', 'node_modules/'] },
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser } } },
  { files: ['tools/**', 'mock/**', '*.js', '*.ts'], languageOptions: { globals: { ...globals.node } } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: ['.svelte'], svelteConfig } },
  },
  {
    rules: {
      // What comes from outside is text. There is no exception.
      'svelte/no-at-html-tags': 'error',
      // Style directives go through the style object, which the policy allows; a style attribute would be refused by the browser.
      'svelte/no-inline-styles': 'off',
      'no-restricted-globals': ['error', 'eval'],
      // Caches and sets of listeners are not for drawing.
      'svelte/prefer-svelte-reactivity': 'off',
      'svelte/require-each-key': 'error',
      'svelte/no-target-blank': 'error',
      'svelte/button-has-type': 'error',
      // Links are paths of our own router, not of SvelteKit.
      'svelte/no-navigation-without-resolve': 'off',
      'no-restricted-syntax': [
        'error',
        { selector: "AssignmentExpression[left.property.name=/^(innerHTML|outerHTML)$/]", message: 'Text only.' },
        { selector: "SvelteAttribute[key.name='style']", message: 'Use style:name={...}; the policy of the page refuses style attributes.' },
        { selector: "CallExpression[callee.property.name=/^(insertAdjacentHTML|write|writeln)$/][callee.object.name='document']", message: 'Text only.' },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // The compiler eats spaces at the edges of blocks; {' · '} keeps them. A snippet without parameters says that a part is left empty.
      'svelte/no-useless-mustaches': 'off',
      'svelte/no-useless-children-snippet': 'off',
      'no-eval': 'error',
      'no-implied-eval': 'error',
    },
  },
);
