import { mount } from 'svelte';
import { preferences } from './lib/prefs.svelte';
import { router } from './lib/router.svelte';
import './styles/app.css';

preferences.start();
router.listen();
const target = document.getElementById('app');
// The same files are served on both ports; the admin port says so in the page.
const face = document.querySelector('meta[name="mainstem-face"]')?.getAttribute('content');
const root = face === 'admin' ? import('./Staff.svelte') : import('./App.svelte');
void root.then(({ default: component }) => target && mount(component, { target }));
