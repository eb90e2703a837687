import './styles/tokens.css';
import './styles/base.css';

import { mount } from 'svelte';

import App from './App.svelte';
import { speak } from './lib/i18n.svelte';
import { startKeys } from './lib/keys.svelte';
import { startRouter } from './lib/router.svelte';
import { startTheme } from './lib/theme.svelte';

startTheme();
await speak();
startRouter();
startKeys();
mount(App, { target: document.getElementById('app')! });
