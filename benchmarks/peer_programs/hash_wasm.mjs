// SPDX-License-Identifier: Apache-2.0
// hash-wasm: one hasher, used again for each nonce, as its documentation advises.

import { createSHA256 } from 'hash-wasm';
import { serve, versionOf } from './serve.mjs';

const hasher = await createSHA256();

function solve(prefix, target) {
  for (let nonce = 0; ; nonce++) {
    if (hasher.init().update(prefix + nonce).digest('hex') === target) return nonce + 1;
  }
}

await serve(solve, versionOf('hash-wasm'));
