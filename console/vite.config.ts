// Builds the console into `dist`: hashed assets, nothing inline, so that the page runs under
// `script-src 'self'; style-src 'self'`. In development, API calls go to MAINSTEM_URL or the mock.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const api = process.env['MAINSTEM_URL'] ?? 'http://127.0.0.1:8099';

export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: 'dist',
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    port: 5173,
    proxy: {
      '/v1': { target: api, ws: true, changeOrigin: true },
      '/openapi.json': { target: api, changeOrigin: true },
    },
  },
  test: { include: ['test/**/*.test.ts'], environment: 'node' },
});
