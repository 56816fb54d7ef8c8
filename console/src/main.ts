import { mount } from 'svelte';
import App from './App.svelte';
import { preferences } from './lib/prefs.svelte';
import { router } from './lib/router.svelte';
import './styles/app.css';

preferences.start();
router.listen();
const target = document.getElementById('app');
if (target) mount(App, { target });
