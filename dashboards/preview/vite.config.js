import react from '@vitejs/plugin-react';
import {defineConfig} from 'vite';

const to = (target, prefix) => ({target, rewrite: path => path.replace(prefix, '')});

export default defineConfig({
  plugins: [react()],
  define: {'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'globalThis'}, // @grafana/* expects Node's names
  build: {chunkSizeWarningLimit: 20000},
  preview: {
    host: '127.0.0.1', port: Number(process.env.PORT ?? 14173), strictPort: true,
    proxy: {'/prometheus': to(process.env.PROMETHEUS, /^\/prometheus/), '/logs': to(process.env.LOKI, /^\/logs/)},
  },
});
