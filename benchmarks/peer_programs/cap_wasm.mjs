// SPDX-License-Identifier: Apache-2.0
// @cap.js/wasm: Cap's own solver, Rust compiled to WebAssembly.

import cap from '@cap.js/wasm';
import { serve, versionOf } from './serve.mjs';

await serve((prefix, target) => Number(cap.solve_pow(prefix, target)) + 1, versionOf('@cap.js/wasm'));
