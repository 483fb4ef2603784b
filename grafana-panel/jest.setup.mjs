// What jsdom lacks and Grafana's packages ask for when they are loaded.
import { TextDecoder, TextEncoder } from 'node:util';

Object.assign(globalThis, { TextDecoder, TextEncoder });
globalThis.matchMedia ??= () => ({ matches: false, addEventListener() {}, removeEventListener() {} });
HTMLCanvasElement.prototype.getContext = () => null;
