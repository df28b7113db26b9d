// SPDX-License-Identifier: Apache-2.0
// node:crypto, the one-shot hash of newer Nodes.

import { hash } from 'node:crypto';
import { serve } from './serve.mjs';

function solve(prefix, target) {
  for (let nonce = 0; ; nonce++) {
    if (hash('sha256', prefix + nonce) === target) return nonce + 1;
  }
}

await serve(solve, `OpenSSL ${process.versions.openssl}`);
